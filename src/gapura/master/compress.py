"""`python -P -m gapura.master.compress FILE`: FILE becomes FILE.gz, in one step, and is removed. Prints what is wrong."""

from __future__ import annotations

import fcntl
import os
import sys
import zlib
from typing import Final

_PIECE: Final = 1 << 18
_GZIP: Final = 31
"""Window of 32 KB and a gzip header (zlib.h, deflateInit2)."""


def compress(path: str) -> str:
    """Compress a file; what is wrong, or "". Whatever ends it in between, the file or the compressed one is whole.

    Mode, owner and time stay. Nothing is done when another process is at it, or when the file has grown meanwhile.
    """
    part, whole = f"{path}.gz.part", f"{path}.gz"
    source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.lexists(whole):
            _discard(part)
            target = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                count = _pack(source, target)
                _take_over(source, target)
                if os.fstat(source).st_size != count:
                    return "it has grown meanwhile"
                os.rename(part, whole)
            finally:
                os.close(target)
                _discard(part)
        os.unlink(path)
    except BlockingIOError:
        return ""
    finally:
        os.close(source)
    return ""


def _pack(source: int, target: int) -> int:
    """Bytes read and written in compressed form."""
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    count = 0
    while data := os.read(source, _PIECE):
        count += len(data)
        _write(target, packer.compress(data))
    _write(target, packer.flush())
    return count


def _write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


def _take_over(source: int, target: int) -> None:
    facts = os.fstat(source)
    if os.geteuid() == 0:
        os.fchown(target, facts.st_uid, facts.st_gid)
    os.fchmod(target, facts.st_mode & 0o777)
    os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    os.fsync(target)


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def main(arguments: list[str]) -> int:
    """The exit status: 0, or 1 when something is wrong."""
    try:
        os.nice(19)
        trouble = compress(arguments[0])
    except OSError as error:
        trouble = os.strerror(error.errno or 0)
    if trouble:
        print(trouble)
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
