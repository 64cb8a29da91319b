"""Every field of every attribute with every other, against the reference.

A pairwise covering array over all fields; combinations that the verifier
refuses are left out by its own rules. SCALING_TEST_FULL adds arrays of other
seeds, so that most triples occur.
"""

import pytest
from cases import FIELDS, Case, allowed, compare
from covering import pairwise
from programs import FULL, Programs

SEEDS = range(12 if FULL else 1)
CASES = {
    f"case_{seed}_{i}": Case(row, 1000 * seed + i)
    for seed in SEEDS
    for i, row in enumerate(pairwise(FIELDS, allowed, seed))
}


@pytest.fixture(scope="session")
def programs(route):
    return Programs(route, {name: case.call() for name, case in CASES.items()})


@pytest.mark.parametrize("name", CASES)
def test_case(programs, name):
    compare(CASES[name], programs(name))
