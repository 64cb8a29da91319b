"""A kernel that has lost any one of its barriers or fences is found out: the
emulator reports a race, or memory that nobody has written. With all of them it
is clean in three orders of the warps."""

import os

import pytest
from barrier_workloads import WORKLOADS, find_unneeded

FULL = "SCALING_TEST_FULL" in os.environ
QUICK = ["thread_log", "warp_ragged", "block_kernel", "grid_ragged", "balance_grid"]
#: How many are not missed, and why.
NOT_MISSED = {
    # Before a copy to one place of a ring, another place's has been waited for.
    "attention_points": 1,
    "attention_tf32": 1,
    "attention_bf16": 1,
    # Of more pairs of accesses than the compiler looks at.
    "grid_kernel": 2,
    "grid_log": 2,
    # Parts of buffers whose size is not known are not told apart, so that some
    # are not needed; others may be, at sizes that are larger than these.
    "block_dynamic": 12,
    "gradient_block_dynamic": 43,
}


@pytest.mark.parametrize("name", WORKLOADS if FULL else QUICK)
def test_a_lost_barrier_is_found(name):
    unneeded, count = find_unneeded(WORKLOADS[name])
    assert count > 0
    assert len(unneeded) <= NOT_MISSED.get(name, 0), unneeded
