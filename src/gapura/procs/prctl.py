"""Settings of a process that Python has no name for (prctl(2)). ctypes is loaded on the first call only."""

from __future__ import annotations

import os

_SET_CHILD_SUBREAPER = 36
_SET_NO_NEW_PRIVS = 38
_CAP_AMBIENT = 47
_CAP_AMBIENT_CLEAR_ALL = 4


def set_subreaper() -> None:
    """Become the parent of all orphaned descendants (PR_SET_CHILD_SUBREAPER). Raises OSError."""
    _set(_SET_CHILD_SUBREAPER)


def no_new_privileges() -> None:
    """Gain no rights by executing set-uid programs, for good and for all descendants (PR_SET_NO_NEW_PRIVS). Raises OSError."""
    _set(_SET_NO_NEW_PRIVS)


def drop_ambient_capabilities() -> None:
    """Hand on no capability by exec: what a service manager gave us, such as low ports, is not for apps. Raises OSError."""
    with open("/proc/self/status", "rb") as status:
        if b"\nCapAmb:\t0000000000000000\n" not in status.read():  # capabilities(7); usually there is none, and no prctl needed
            _set(_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL)


def _set(option: int, value: int = 1) -> None:
    import ctypes  # 1 MB that a master without need for it shall not pay

    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
