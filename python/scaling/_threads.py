"""How many threads programs use."""

from __future__ import annotations

from . import _core
from ._attributes import count as whole_number


def set_num_threads(count: int) -> None:
    """How many threads a program uses itself; 0: what SCALING_NUM_THREADS or
    OMP_NUM_THREADS says, or else the CPUs that this process may use."""
    _core.set_num_threads(whole_number("count", count))


def get_num_threads() -> int:
    """The number of threads that a program uses at most."""
    return _core.get_num_threads()
