"""The benchmark: every proxy on one core, the load and the servers behind on another, the same work for all.

`bench/run` measures and prints; `bench/micro.py` times single functions without the network. Only the standard library.
"""
