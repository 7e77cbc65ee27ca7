"""Two settings of a process that Python has no name for (prctl(2)). ctypes is loaded on the first call only."""

from __future__ import annotations

import os

_SET_CHILD_SUBREAPER = 36
_SET_NO_NEW_PRIVS = 38


def set_subreaper() -> None:
    """Become the parent of all orphaned descendants (PR_SET_CHILD_SUBREAPER). Raises OSError."""
    _set(_SET_CHILD_SUBREAPER)


def no_new_privileges() -> None:
    """Gain no rights by executing set-uid programs, for good and for all descendants (PR_SET_NO_NEW_PRIVS). Raises OSError."""
    _set(_SET_NO_NEW_PRIVS)


def _set(option: int) -> None:
    import ctypes  # 1 MB that a master without need for it shall not pay

    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(1), zero, zero, zero) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
