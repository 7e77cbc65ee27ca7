"""The board: its layout, its rows, sums, clearing, and what two processes see of each other."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys

import pytest

from gapura import board as b
from gapura.board import Board


@pytest.fixture
def board():
    made = Board.create(12345)
    yield made
    made.close()
    os.close(made.fd)


def test_a_new_board_is_empty_but_for_its_header(board):
    header = board.cells[: b.HEADER].tolist()
    assert header[b.H_MAGIC] == b.MAGIC
    assert (header[b.H_COLUMNS], header[b.H_SLOTS], header[b.H_BOOT]) == (64, 1024, 12345)
    assert header[b.H_USED] == header[b.H_GENERATION] == 0
    assert not any(board.cells[b.HEADER :])


def test_the_magic_spells_the_name():
    assert b.MAGIC.to_bytes(8, "big")[:6] == b"GAPURA"


def test_rows_and_slots_do_not_overlap():
    starts = [(0, b.HEADER)]
    starts += [(Board.process(row), b.PROCESS) for row in range(b.PROCESSES)]
    starts += [(Board.slot(index), b.SLOT) for index in range(b.SLOTS)]
    at = 0
    for start, length in starts:
        assert start == at
        at += length
    assert at * 8 == b.SIZE


def test_cells_of_a_slot_do_not_overlap():
    fixed = [b.ID, b.STATE, b.ADMIN, b.HEALTH, b.DOWN_AT, b.READY_AT, b.HIT_AT, b.PORT, b.RETURNS_AT, b.SINCE]
    shared = [b.CONNS, b.FAILS, b.FAILED_AT, b.SERVED, b.ERRORS, b.BYTES, b.LATENCY]
    offsets = fixed + [Board.column(0, cell, column) for cell in shared for column in range(b.COLUMNS)]
    assert sorted(offsets) == list(range(b.SLOT))


def test_the_table_names_every_cell_once_with_its_writer():
    names = [name for _, name, _, _ in b.CELLS]
    assert len(set(names)) == len(names)
    for scope, count in (("process", b.PROCESS), ("slot", b.FIXED), ("worker", b.PER_WORKER)):
        cells = [getattr(b, name) for place, name, _, _ in b.CELLS if place == scope]
        assert sorted(cells) == list(range(count)), scope
    assert {writer for _, _, writer, _ in b.CELLS} == {"master", "control", "worker", "that process", "any worker, last wins"}


def test_the_words_of_the_states_follow_their_numbers():
    numbers = (b.FREE, b.STARTING, b.READY, b.STOPPING, b.STOPPED, b.BACKOFF, b.CRASHED)
    assert b.STATES == ("free", "starting", "ready", "stopping", "stopped", "backoff", "crashed")
    assert numbers == tuple(range(len(b.STATES)))


def test_total_adds_up_the_columns_in_use_only(board):
    slot = board.slot(7)
    for column in range(5):
        board.cells[board.column(slot, b.SERVED, column)] = 10**column
    assert board.total(slot, b.SERVED) == 0
    board.cells[b.H_USED] = 3
    assert board.total(slot, b.SERVED) == 111
    assert board.total(slot, b.CONNS) == board.total(board.slot(8), b.SERVED) == 0
    board.cells[b.H_USED] = b.COLUMNS
    assert board.total(slot, b.SERVED) == 11111


def test_clear_column_forgets_what_is_under_way_and_keeps_what_was_counted(board):
    for index in (0, 5, b.SLOTS - 1):
        board.cells[board.slot(index) + b.STATE] = b.READY
        for cell in range(b.PER_WORKER):
            for column in (2, 3):
                board.cells[board.column(board.slot(index), cell, column)] = 9
    board.clear_column(2)
    for index in (0, 5, b.SLOTS - 1):
        slot = board.slot(index)
        assert [board.cells[board.column(slot, cell, 2)] for cell in range(b.PER_WORKER)] == [0, 0, 0, 9, 9, 9, 9]
        assert [board.cells[board.column(slot, cell, 3)] for cell in range(b.PER_WORKER)] == [9] * 7


def test_clear_slot_empties_one_slot_and_no_other(board):
    for index in (3, 4, 5):
        start = board.slot(index)
        for cell in range(b.SLOT):
            board.cells[start + cell] = index
    board.clear_slot(4)
    assert set(board.cells[board.slot(3) : board.slot(4)]) == {3}
    assert set(board.cells[board.slot(4) : board.slot(5)]) == {0}
    assert set(board.cells[board.slot(5) : board.slot(6)]) == {5}


def test_numbers_are_unsigned_64_bit(board):
    at = board.slot(0) + b.DOWN_AT
    board.cells[at] = 2**64 - 1
    assert board.cells[at] == 2**64 - 1
    for wrong in (-1, 2**64):
        with pytest.raises(ValueError, match="memoryview"):
            board.cells[at] = wrong


def test_another_mapping_of_the_same_descriptor_sees_the_same_cells(board):
    other = Board(board.fd)
    other.cells[board.slot(1) + b.PORT] = 3000
    assert board.cells[board.slot(1) + b.PORT] == 3000
    other.close()
    assert board.cells[board.slot(1) + b.PORT] == 3000


@pytest.mark.parametrize("magic", [0, b.MAGIC + 1, b.MAGIC ^ (1 << 60)])
def test_memory_of_another_version_is_refused(magic):
    fd = os.memfd_create("x")
    try:
        os.ftruncate(fd, b.SIZE)
        os.pwrite(fd, struct.pack("=Q", magic), 0)
        with pytest.raises(ValueError, match="not a board of this version"):
            Board(fd)
    finally:
        os.close(fd)


def test_memory_that_is_too_small_is_refused():
    fd = os.memfd_create("x")
    try:
        os.ftruncate(fd, mmap.PAGESIZE)
        with pytest.raises(ValueError, match="size"):
            Board(fd)
    finally:
        os.close(fd)


def test_id_hash_is_the_same_for_ever_and_tells_upstreams_apart():
    assert b.id_hash("dumbflix", "dumbflix:0") == 0x364B_6347_744F_72B4
    assert len({b.id_hash(upstream, server) for upstream in "abc" for server in ("x:0", "x:1", "y:0")}) == 9


FLICKER = """
import sys
from gapura.board import Board
board = Board(int(sys.argv[1]))
cells, at = board.cells, board.slot(0) + 1
print("go", flush=True)
while not cells[board.slot(1)]:
    for value in (0, 2**64 - 1):
        cells[at] = cells[at + 1] = cells[at + 2] = cells[at + 3] = value
"""


def test_no_cell_is_ever_read_half_written(board):
    """Another process flips all bits of four cells while this one reads them, one by one and four at a time."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", FLICKER, str(board.fd)],
        pass_fds=[board.fd],
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        assert child.stdout.readline() == b"go\n"
        at = board.slot(0) + 1
        four = struct.Struct("@4Q").unpack_from
        seen = set()
        reads = 0
        while reads < 100_000 or len(seen) < 2:
            seen.add(board.cells[at])
            seen.update(four(board.cells, at * 8))
            reads += 1
        assert seen == {0, 2**64 - 1}
    finally:
        board.cells[board.slot(1)] = 1
        child.wait(30)
        child.stdout.close()
    assert child.returncode == 0
