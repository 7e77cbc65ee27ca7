"""The admin API: everything that commands can do and read, over HTTP. Nothing but control's first visitor imports FastAPI."""
