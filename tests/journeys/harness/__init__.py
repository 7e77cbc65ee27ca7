"""What journeys are made of: a running Gapura (`site`), users' programs (`app`, `foreign`), visitors and load."""
