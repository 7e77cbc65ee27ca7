"""Tests of the worker: real protocol objects on a real loop, scripted servers behind, all in one process."""
