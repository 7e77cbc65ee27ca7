"""The channel: frames whole and in pieces, descriptors beside them, peers that end or do not keep to the format."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import descriptors

from gapura import ipc
from gapura.ipc import Channel, ChannelClosed


@pytest.fixture
def ends():
    """Two channels that talk to each other; the first does not block."""
    first, sock = ipc.pair()
    sock.setblocking(False)
    second = Channel(sock)
    yield first, second
    first.close()
    second.close()


def frame(body: bytes, fds: int = 0) -> bytes:
    return struct.pack("!IH", len(body), fds) + body


def drain(channel: Channel, count: int):
    """So many messages, however many reads it takes."""
    found = []
    while len(found) < count:
        found += channel.receive()
    return found


def open_descriptors() -> int:
    return descriptors()


def test_messages_arrive_in_order(ends):
    first, second = ends
    for number in range(5):
        first.send({"type": "prepare", "generation": number})
    assert [message["generation"] for message, _ in drain(second, 5)] == [0, 1, 2, 3, 4]


def test_both_directions(ends):
    first, second = ends
    first.send({"type": "ping"})
    second.send({"type": "pong"})
    assert drain(first, 1) == [({"type": "pong"}, [])]
    assert drain(second, 1) == [({"type": "ping"}, [])]


def test_nothing_has_arrived_yet(ends):
    assert ends[0].receive() == []


@settings(max_examples=60, deadline=None)
@given(
    messages=st.lists(
        st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(), max_size=3), min_size=1, max_size=4
    ),
    cuts=st.lists(st.integers(1, 40), max_size=12),
)
def test_frames_cut_anywhere(messages, cuts):
    channel, sock = ipc.pair()
    try:
        data = b"".join(frame(json.dumps(message).encode()) for message in messages)
        found = []
        for cut in [*cuts, len(data)]:
            piece, data = data[:cut], data[cut:]
            if piece:
                sock.sendall(piece)
                found += channel.receive()
        assert [message for message, _ in found] == messages
    finally:
        channel.close()
        sock.close()


def test_descriptors_arrive_with_their_message_and_are_close_on_exec(ends):
    first, second = ends
    pipes = [os.pipe() for _ in range(3)]
    first.send({"n": 0})
    first.send({"n": 1}, fds=(pipes[0][1], pipes[1][1]))
    first.send({"n": 2}, fds=(pipes[2][1],))
    got = drain(second, 3)
    assert [(message["n"], len(fds)) for message, fds in got] == [(0, 0), (1, 2), (2, 1)]
    for (read, write), fd in zip(pipes, [fd for _, fds in got for fd in fds], strict=True):
        assert not os.get_inheritable(fd)
        os.close(write)
        os.write(fd, b"x")
        assert os.read(read, 1) == b"x"
        os.close(fd)
        os.close(read)


def test_a_message_larger_than_the_sockets_buffer_goes_out_in_parts(ends):
    first, second = ends
    text = "x" * (4 << 20)
    read, write = os.pipe()
    first.send({"text": text}, fds=(write,))
    first.send({"last": True})
    assert not first.flush(), "the rest waits until the peer reads"
    found = []
    while len(found) < 2:
        found += second.receive()
        first.flush()
    assert first.flush()
    (big, fds), (last, none) = found
    assert (len(big["text"]), len(fds), last, none) == (len(text), 1, {"last": True}, [])
    for fd in (*fds, read, write):
        os.close(fd)


def test_the_sender_keeps_its_own_descriptors(ends):
    first, second = ends
    read, write = os.pipe()
    before = open_descriptors()
    first.send({}, fds=(write,))
    assert open_descriptors() == before + (0 if first.flush() else 1)
    [(_, [fd])] = drain(second, 1)
    os.write(write, b"x")
    for number in (fd, read, write):
        os.close(number)


def test_too_many_descriptors_in_one_message(ends):
    with pytest.raises(ValueError, match="at most 200"):
        ends[0].send({}, fds=(0,) * 201)


def test_two_hundred_descriptors_in_one_message(ends):
    first, second = ends
    first.send({}, fds=(0,) * ipc.MAX_FDS)
    [(_, fds)] = drain(second, 1)
    assert len(fds) == 200
    for fd in fds:
        os.close(fd)


def test_the_last_message_before_the_end_is_returned(ends):
    first, second = ends
    first.send({"type": "drained"})
    first.close()
    assert drain(second, 1) == [({"type": "drained"}, [])]
    for _ in range(2):
        with pytest.raises(ChannelClosed):
            second.receive()


BAD = [
    b"\xff\xff\xff\xff\x00\x00",  # longer than any frame may be
    struct.pack("!IH", ipc.MAX_FRAME + 1, 0),
    struct.pack("!IH", 2, ipc.MAX_FDS + 1) + b"{}",
    frame(b"not json"),
    frame(b""),
    frame(b"[]"),
    frame(b"null"),
    frame(b'"text"'),
    frame(b"{"),
    frame(b"\xff\xfe"),
    frame(b"[" * 100_000),  # deeper than the parser can follow
    b"GET / HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_a_peer_that_does_not_keep_to_the_format_is_cut_off(data):
    channel, sock = ipc.pair()
    try:
        sock.sendall(data)
        with pytest.raises(ChannelClosed):
            channel.receive()
        assert channel.closed
    finally:
        channel.close()
        sock.close()


def test_descriptors_of_a_peer_that_is_cut_off_are_closed(ends):
    first, second = ends
    before = open_descriptors()
    read, write = os.pipe()
    socket.send_fds(first.sock, [frame(b"{}", 1) + frame(b"[]")], [read])
    with pytest.raises(ChannelClosed):
        second.receive()
    os.close(read)
    os.close(write)
    assert open_descriptors() == before


def test_an_incomplete_frame_at_the_end_is_dropped():
    channel, sock = ipc.pair()
    sock.sendall(frame(b'{"a":1}') + frame(b'{"b":2}')[:-1])
    sock.close()
    assert channel.receive() == [({"a": 1}, [])]
    with pytest.raises(ChannelClosed):
        channel.receive()
    channel.close()


def test_sending_to_a_lost_peer_raises_nothing_and_leaks_nothing(ends):
    first, second = ends
    second.sock.close()
    before = open_descriptors()
    for _ in range(3):
        first.send({"text": "x" * 100_000}, fds=(0,))
    assert first.flush()
    assert open_descriptors() == before
    with pytest.raises(ChannelClosed):
        first.receive()


def test_close_gives_back_what_was_never_sent_or_never_taken():
    before = open_descriptors()
    first, sock = ipc.pair()
    second = Channel(sock)
    first.send({"text": "x" * (4 << 20)})
    first.send({}, fds=(0, 1))
    socket.send_fds(sock, [frame(b"{}", 2)[:-1]], [0, 1])
    assert first.receive() == []
    first.close()
    second.close()
    assert open_descriptors() == before


def test_ask_waits_for_the_answer(ends):
    first, second = ends
    second.sock.setblocking(True)

    def master():
        message, _ = second.receive()[0]
        second.send({"type": "progress"})
        second.send({"type": "reply", "name": message["name"]})

    thread = threading.Thread(target=master)
    thread.start()
    assert first.ask({"type": "command", "name": "ping"}, timeout=10) == {"type": "progress"}
    assert first.wait(10) == {"type": "reply", "name": "ping"}
    thread.join()


def test_wait_gives_up_after_its_timeout(ends):
    with pytest.raises(TimeoutError):
        ends[0].wait(0.01)


def test_wait_notices_the_end(ends):
    ends[1].close()
    with pytest.raises(ChannelClosed):
        ends[0].wait(10)


def test_connect_reaches_a_folder_of_any_depth(tmp_path):
    folder = tmp_path
    while len(str(folder)) < 200:
        folder = folder / ("deep" * 5)
    folder.mkdir(parents=True)
    before = open_descriptors()
    path = ipc.socket_path(str(folder))
    assert len(path) <= 100
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    assert (folder / "control.sock").is_socket()
    bound = open_descriptors()
    channel = ipc.connect(str(folder))
    peer, _ = listener.accept()
    for item in (channel, peer):
        item.close()
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        ipc.connect(str(folder))
    assert open_descriptors() == bound - 1, "those who look for a master do so again and again"
    for fd in os.listdir("/proc/self/fd"):
        if os.path.realpath(f"/proc/self/fd/{fd}") == str(folder):
            os.close(int(fd))
    assert open_descriptors() == before


def test_short_paths_stay_as_they_are(tmp_path):
    assert ipc.socket_path("/run/gapura") == "/run/gapura/control.sock"
    assert ipc.socket_path("/run/gapura", "x.sock") == "/run/gapura/x.sock"


def test_connect_without_a_master(tmp_path):
    before = open_descriptors()
    with pytest.raises(FileNotFoundError):
        ipc.connect(str(tmp_path))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "control.sock"))
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        ipc.connect(str(tmp_path))
    assert open_descriptors() == before
