"""What a plain user may do: root, as whom containers run tests, may read and write everything."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_VERSION = 0x20080522  # of capset(2): two words of 32 bits a set
_WORDS = ctypes.c_uint32 * 6  # effective, permitted, inheritable; then the upper halves of the same


@contextmanager
def plain_rights() -> Iterator[None]:
    """Inside, this thread obeys the modes of files, whoever runs it."""
    if os.geteuid():
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root keeps its rights here")
    libc, head, held = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(_VERSION, 0), _WORDS()
    assert libc.capget(head, held) == 0
    assert libc.capset(head, _WORDS(0, held[1], held[2], 0, held[4], held[5])) == 0
    try:
        yield
    finally:
        assert libc.capset(head, held) == 0
