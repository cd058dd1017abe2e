"""Freed tensors go back to the system at once."""

import ctypes

_M_MMAP_THRESHOLD = -3  # glibc's malloc.h
_LARGE = 2**22  # bytes: a weight of 1024 x 1024 in float32


def return_freed_tensors() -> None:
    """Have the C library give large blocks back when they are freed. Call it before the first model is loaded.

    glibc keeps freed blocks of up to 32 MiB for later, and what was freed between others stays with the process: a
    model that goes while another comes takes up to half as much memory again. For other C libraries nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
