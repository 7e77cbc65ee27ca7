"""A stand-in for a worker or control: speaks the messages, answers HTTP requests with its pid, does nothing else.

    python child.py ROLE BEHAVIOUR

BEHAVIOUR: "good", "mute" (never prepares), "refuses" (fails every generation but the first), "hangs" (stops beating once it
has committed), "stays" (does not end when drained).
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from typing import Any

from gapura.board import CONTROL_ROW, P_BEAT, P_GENERATION, WORKER_ROW, Board
from gapura.ipc import Channel, ChannelClosed, connect


class Child:
    def __init__(self, role: str, behaviour: str) -> None:
        self.role, self.behaviour = role, behaviour
        self.channel: Channel | None = Channel(socket.socket(fileno=0))
        self.channel.sock.setblocking(False)
        self.board: Board | None = None
        self.column = -1
        self.generation = 0
        self.prepared = (0, None)
        self.run = ""
        self.sockets: list[tuple[list[Any], socket.socket]] = []
        self.accepting: list[socket.socket] = []
        self.done = False

    def serve(self) -> None:
        self.say(type="hello", role=self.role, pid=os.getpid())
        while not self.done:
            self.beat()
            watched = [*([self.channel] if self.channel else []), *self.accepting]
            for ready in select.select(watched, [], [], 0.05)[0]:
                if ready is self.channel:
                    self.listen_to_master()
                elif ready in self.accepting:
                    self.answer(ready)
            if self.channel is None:
                self.look_for_master()

    def beat(self) -> None:
        if self.board is None or (self.behaviour == "hangs" and self.generation):
            return
        row = self.board.process(CONTROL_ROW if self.role == "control" else WORKER_ROW + self.column)
        self.board.cells[row + P_BEAT] = time.monotonic_ns()
        self.board.cells[row + P_GENERATION] = self.generation

    def say(self, fds: tuple[int, ...] = (), **message: Any) -> None:
        if self.channel is not None:
            self.channel.send(message, fds)

    def listen_to_master(self) -> None:
        assert self.channel is not None
        try:
            messages = self.channel.receive()
        except ChannelClosed:
            self.channel.close()
            self.channel = None
            return
        for message, fds in messages:
            getattr(self, f"on_{message['type']}", lambda message, fds: None)(message, fds)

    def on_welcome(self, message: dict[str, Any], fds: list[int]) -> None:
        self.column, self.board = message["column"], Board(fds[message["memories"].index("board")])

    def on_prepare(self, message: dict[str, Any], fds: list[int]) -> None:
        self.prepared = (message["generation"], message["plan"])
        if self.behaviour == "mute":
            return
        if self.behaviour == "refuses" and self.generation:
            self.say(type="failed", generation=message["generation"], error="this worker refuses")
        else:
            self.say(type="prepared", generation=message["generation"])

    def on_commit(self, message: dict[str, Any], fds: list[int]) -> None:
        self.generation = message["generation"]
        self.run = self.prepared[1]["paths"]["run"]
        self.accepting = [sock for _, sock in self.sockets]
        self.say(type="committed", generation=self.generation)

    def on_listen(self, message: dict[str, Any], fds: list[int]) -> None:
        for address, fd in zip(message["addresses"], fds, strict=True):
            self.sockets.append((address, socket.socket(fileno=fd)))

    def on_unlisten(self, message: dict[str, Any], fds: list[int]) -> None:
        for address, sock in self.sockets[:]:
            if address in message["addresses"]:
                self.sockets.remove((address, sock))
                sock.close()
        self.accepting = [sock for _, sock in self.sockets]

    def on_drain(self, message: dict[str, Any], fds: list[int]) -> None:
        if self.behaviour != "stays":
            self.say(type="drained")
            self.done = True

    def on_stop(self, message: dict[str, Any], fds: list[int]) -> None:
        self.done = True

    def answer(self, listening: socket.socket) -> None:
        try:
            client, _ = listening.accept()
        except BlockingIOError:
            return
        client.settimeout(2)
        client.recv(4096)
        body = f"{os.getpid()} {self.generation}".encode()
        client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        client.close()

    def look_for_master(self) -> None:
        assert self.board is not None
        if not os.path.exists(self.run):
            self.done = True
            return
        try:
            self.channel = connect(self.run)
        except OSError:
            return
        self.channel.sock.setblocking(False)
        self.say(
            (self.board.fd, *(sock.fileno() for _, sock in self.sockets)),
            type="orphan",
            role=self.role,
            pid=os.getpid(),
            column=self.column,
            generation=self.generation,
            addresses=[address for address, _ in self.sockets],
            draining=False,
        )


if __name__ == "__main__":
    Child(sys.argv[1], sys.argv[2]).serve()
