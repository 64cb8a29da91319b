"""The full product of ops, regimes, presets and element types: every kernel
compiled once, executed at all sizes of its regime with the warps in three
orders. All of it in the long run, else some; of combinations that there are
not, what is said of them."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from findtool import find_tool
from kernel_product import (
    REGIMES,
    Combination,
    Configured,
    Program,
    combinations,
    refusal,
)

FULL = "SCALING_TEST_FULL" in os.environ
SEEDS = (0, 1, 2)
VALID = [c for c in combinations() if refusal(*c) is None]
#: Of every op and every regime.
QUICK = [
    Combination("project", "thread ragged", "mhc_recip", "f16"),
    Combination("project", "grid", "mhc_sigmoid", "f32"),
    Combination("sinkhorn", "cloud", "mhc_log", "bf16"),
    Combination("balance", "batch", "geequb", "f32"),
    Combination("normalize_rows", "block", "kernel", "bf16"),
    Combination("normalize_cols", "thread", "absorb", "f64"),
    Combination("attention", "warp", "sinkformer", "f16"),
    Combination("similarity_balance", "warp", "gebal", "f32"),
]


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(os.cpu_count()) as made:
        yield made


@pytest.mark.parametrize("combination", VALID if FULL else QUICK, ids=" ".join)
def test_combination(combination, pool):
    program = Program(combination)
    started = [
        (case, [pool.submit(program.run, case, seed) for seed in SEEDS])
        for case in program.cases
    ]
    for case, orders in started:
        program.check(case, [order.result() for order in orders])


def test_what_there_is_not():
    """One error for each combination that is left out, which says why."""
    refused = [c for c in combinations() if refusal(*c) is not None]
    assert len(refused) + len(VALID) == len(combinations())
    sources = {}
    for combination in refused:
        case = Configured(combination, REGIMES[combination.regime][1][0])
        sources[case.text()] = refusal(*combination)
    done = subprocess.run(
        [find_tool("scaling-opt"), "-", "--split-input-file"],
        input="\n// -----\n".join(sources), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    errors = re.findall(r": error: (.*)", done.stderr)
    assert len(errors) == len(sources)
    for error, expected in zip(errors, sources.values()):
        assert expected in error
