"""A kernel that has lost a barrier is found out: the emulator reports a race.

Of the kernels that have a matrix in a thread every barrier is needed. In those
of a block some are between steps in which a thread reads what it wrote itself,
and nothing is wrong without them."""

import re

import numpy as np
import pytest
from emulated_kernels import execute
from test_kernel_regimes import kernel

#: Sizes where a block has several items, and how many barriers must be needed;
#: all where that is none.
KERNELS = {"thread": ((300, 4, 4), None), "block": ((5, 37, 41), 6)}
ORDER = re.compile(r"call void @llvm\.nvvm\.(barrier|bar|membar)\.|^\s+fence ")


def has_fault(regime, lines):
    shape, _ = KERNELS[regime]
    matrix = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    try:
        execute("\n".join(lines) + "\n", "solve", [matrix], [(shape, "f32")])
    except AssertionError as error:
        assert "fault: " in str(error)
        return True
    return False


@pytest.mark.parametrize("domain", ["kernel", "log"])
@pytest.mark.parametrize("regime", KERNELS)
def test_a_lost_barrier_is_found(regime, domain):
    lines = kernel(regime, domain).splitlines()
    at = [i for i, line in enumerate(lines) if ORDER.search(line)]
    needed = [i for i in at if has_fault(regime, lines[:i] + lines[i + 1 :])]
    _, least = KERNELS[regime]
    assert at
    assert len(needed) >= (least or len(at))
