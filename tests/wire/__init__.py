"""Tests of the protocol code: bytes in, calls out."""
