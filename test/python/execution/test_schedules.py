"""Every field with every schedule, forced by attribute, against the reference.

A schedule changes how a result comes about, not what it is: the same rows as in
the covering array, on sizes that fill no whole block and no whole vector.
"""

from dataclasses import replace

import pytest
from cases import FIELDS, Case, allowed, compare
from covering import pairwise
from programs import FULL, Programs

SCHEDULES = [
    "resident", "streaming, row_block = 4", "streaming, row_block = 8",
    "tiny_batched, lanes = 8", "tiny_batched, lanes = 3",
]  # fmt: skip
ROWS = {
    **FIELDS,
    "schedule": SCHEDULES,
    "shape": [(5, 7), (8, 3), (17, 6), (1, 4), (33, 2), (6, 6)],
}


class Scheduled(Case):
    def call(self):
        call = super().call()
        schedule = f"#scaling.schedule<{self.row['schedule']}>"
        return replace(
            call, attributes=f"{call.attributes} {{scaling.schedule = {schedule}}}"
        )


CASES = {
    f"case_{seed}_{i}": Scheduled(row, 1000 * seed + i)
    for seed in range(100, 103 if FULL else 101)
    for i, row in enumerate(pairwise(ROWS, allowed, seed))
}


@pytest.fixture(scope="session")
def route():
    """The portable way has no schedules."""
    return "cpu"


@pytest.fixture(scope="session")
def programs(route):
    return Programs(route, {name: case.call() for name, case in CASES.items()})


@pytest.mark.parametrize("name", CASES)
def test_schedule(programs, name):
    compare(CASES[name], programs(name))
