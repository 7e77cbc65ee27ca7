"""The data plane: a worker process that moves bytes between clients and servers."""
