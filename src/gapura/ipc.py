"""Messages between processes: JSON in length-prefixed frames over a UNIX stream socket, file descriptors beside them.

A raw socket, so that the same class serves the master's plain selector loop, an event loop's `add_reader`, and a blocking
command. (Event-loop streams drop descriptors that arrive by SCM_RIGHTS.)
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections import deque
from typing import Any, NoReturn

Message = dict[str, Any]

_HEAD = struct.Struct("!IH")
MAX_FRAME = 64 << 20
MAX_FDS = 200
"""Linux passes at most 253 descriptors at once."""


class ChannelClosed(ConnectionError):
    """The peer is gone."""


class Channel:
    """One end of a connection between two processes of Gapura.

    `receive()` returns the messages that have arrived, each with its descriptors (close-on-exec set; the receiver owns
    them). `send()` queues; `flush()` returns True when all is out, so that the caller knows whether to watch for writing.
    """

    __slots__ = ("sock", "_in", "_fds", "_out", "_waiting", "closed")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._in = bytearray()
        self._fds: deque[int] = deque()
        self._out: deque[tuple[memoryview, tuple[int, ...]]] = deque()
        self._waiting: deque[Message] = deque()
        self.closed = False

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Queue a message and try to send. The descriptors are duplicated until sent, so the caller keeps its own."""
        if len(fds) > MAX_FDS:
            raise ValueError(f"at most {MAX_FDS} descriptors in one message")
        body = json.dumps(message, separators=(",", ":")).encode()
        frame = _HEAD.pack(len(body), len(fds)) + body
        self._out.append((memoryview(frame), tuple(os.dup(fd) for fd in fds)))
        self.flush()

    def flush(self) -> bool:
        """Send what is queued; True when nothing is left. A lost peer is noticed by `receive`."""
        while self._out:
            data, fds = self._out[0]
            try:
                if fds:
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                    sent = self.sock.sendmsg([data], rights)
                else:
                    sent = self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                self._drop_output()
                return True
            for fd in fds:
                os.close(fd)
            if sent == len(data):
                self._out.popleft()
            else:
                self._out[0] = (data[sent:], ())
        return True

    def receive(self) -> list[tuple[Message, list[int]]]:
        """Read once and return the complete messages.

        Raises `ChannelClosed` when the peer is gone (after the last message was returned) or does not keep to the format.
        """
        if self.closed:
            raise ChannelClosed
        space = socket.CMSG_SPACE(4 * MAX_FDS)
        try:
            data, ancillary, flags, _ = self.sock.recvmsg(1 << 18, space, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return []
        except TimeoutError:
            raise
        except OSError:
            data, ancillary, flags = b"", [], 0
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
                self._fds.extend(numbers)
        self._in += data
        messages = self._messages()
        if not data or flags & socket.MSG_CTRUNC:
            self.closed = True
            if not messages:
                raise ChannelClosed
        return messages

    def _messages(self) -> list[tuple[Message, list[int]]]:
        found: list[tuple[Message, list[int]]] = []
        while len(self._in) >= _HEAD.size:
            length, count = _HEAD.unpack_from(self._in)
            if length > MAX_FRAME or count > MAX_FDS:
                self._cut_off(found)
            end = _HEAD.size + length
            if len(self._in) < end:
                break
            try:
                message = json.loads(self._in[_HEAD.size : end])
            except (ValueError, RecursionError):
                message = None
            if not isinstance(message, dict):
                self._cut_off(found)
            del self._in[:end]
            fds = [self._fds.popleft() for _ in range(min(count, len(self._fds)))]
            found.append((message, fds))
        return found

    def _cut_off(self, found: list[tuple[Message, list[int]]]) -> NoReturn:
        """What came before the breach is not believed either."""
        self.closed = True
        for _, fds in found:
            for fd in fds:
                os.close(fd)
        raise ChannelClosed

    def ask(self, message: Message, timeout: float | None = None) -> Message:
        """For commands: send over a blocking socket and wait for the next message. Raises `ChannelClosed`, `TimeoutError`."""
        self.sock.settimeout(timeout)
        self.send(message)
        return self.wait(timeout)

    def wait(self, timeout: float | None = None) -> Message:
        """Wait for one message on a blocking socket. Raises `ChannelClosed`, `TimeoutError`."""
        self.sock.settimeout(timeout)
        while not self._waiting:
            self._waiting.extend(message for message, _ in self.receive())
        return self._waiting.popleft()

    def close(self) -> None:
        self._drop_output()
        while self._fds:
            os.close(self._fds.popleft())
        self.closed = True
        self.sock.close()

    def _drop_output(self) -> None:
        while self._out:
            for fd in self._out.popleft()[1]:
                os.close(fd)


def pair() -> tuple[Channel, socket.socket]:
    """A channel for the parent (non-blocking) and the socket that its child inherits."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    return Channel(ours), theirs


def socket_path(folder: str, name: str = "control.sock") -> str:
    """Path of a UNIX socket that fits into the 107 bytes of sun_path, however deep the folder lies.

    A long path goes through /proc/self/fd of the opened folder. The descriptor stays open for the life of the process.
    """
    return shortened(folder, name)[0]


def connect(folder: str, blocking: bool = True) -> Channel:
    """A channel to the master that runs with this state folder. Raises OSError when none listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(blocking)
    opened = -1
    try:
        path, opened = shortened(folder, "control.sock")
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    finally:
        if opened >= 0:
            os.close(opened)
    return Channel(sock)


def shortened(folder: str, name: str) -> tuple[str, int]:
    """A path that fits, and the descriptor that it goes through, which the caller closes, or -1. Raises OSError."""
    path = os.path.join(folder, name)
    if len(os.fsencode(path)) <= 100:
        return path, -1
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{fd}/{name}", fd
