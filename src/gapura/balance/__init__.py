"""Which server gets a request. Reads and writes the board; knows nothing of HTTP, sockets or time sources."""
