"""Every field of every attribute with every other, as GPU kernels against the
reference: the covering array of the CPU's tests, executed by the emulator."""

import os

import pytest
from cases import FIELDS, Case, allowed, compare
from covering import pairwise
from emulated_kernels import run

FULL = "SCALING_TEST_FULL" in os.environ
#: The emulator takes seconds for what a CPU does in none.
STRIDE = 1 if FULL else 3
#: Rows that have failed: batches that stop at a tolerance (1, 7), scratch that
#: several half-steps shared (43), loads that skip elements (35, 98).
ALWAYS = (1, 7, 35, 43, 98)
CASES = {
    f"case_{i}": Case(row, i)
    for i, row in enumerate(pairwise(FIELDS, allowed))
    if i % STRIDE == 0 or i in ALWAYS
}


#: Orders of the warps: all of them in the full tests, else one for each case.
SEEDS = 3


@pytest.mark.parametrize("name", CASES)
def test_case(name):
    case = CASES[name]
    for seed in range(SEEDS) if FULL else [int(name.split("_")[1]) % SEEDS]:
        results, _ = run(name, case.call(), seed=seed)
        compare(case, results)
