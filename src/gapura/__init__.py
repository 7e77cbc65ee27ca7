"""Gapura: web server, reverse proxy, load balancer and process manager in one package."""

__version__ = "0.1.0"
