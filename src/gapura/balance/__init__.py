"""Which server gets a request. Reads and writes the board; knows nothing of HTTP, sockets or time sources.

`facts` tells what the board says of one server, `server` holds a server's address and its share, the policies (one small
class each) choose among servers, `upstream` claims, releases and counts. `now` is always CLOCK_MONOTONIC in ns, given by
the caller.
"""
