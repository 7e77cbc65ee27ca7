"""Protocol code without sockets, loop or clock: bytes in, calls out."""
