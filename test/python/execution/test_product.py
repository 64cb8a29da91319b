"""The full product: every op, route, element type, kind of sizes and of batch
with every configuration of a rule.

The configurations are, for each op, the rows of a pairwise covering array over
the fields of its rules: those of the rule itself, and what the rule works on
(domain, order, form of the matrix, targets). Every row is run with every
combination of the five other factors. `similarity_balance` has no rule; its
only attribute takes the place of one. All other fields keep their first value:
`test_covering` is about those. Part of the long run only.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
from cases import FIELDS, Case, allowed, compare, compare_similarity
from covering import pairwise
from programs import ROUTES, Call, Programs, rounded

OPS = FIELDS["op"]
ELEMENTS = ("f32", "f64", "bf16")
DIMS = ("static", "dynamic")
#: Two ways of broadcasting: what the batch shares is the matrix or the vectors.
BATCHES = ("none", "all", "shared matrix", "shared vectors")
RULE_FIELDS = (
    "domain", "kind", "stat", "guard", "target", "exponent", "tau", "reference",
    "omega", "limit", "step", "clamp", "round", "cols", "order", "marginals",
    "zero weight", "slack",
)  # fmt: skip
LIMITS = (1, 2, 100)
#: Programs that are compiled ahead of the one that is compared.
AHEAD = 4


def rules(op):
    """Rows that hold all pairs of values of the fields of this op's rules."""
    fields = {"op": [op], **{name: FIELDS[name] for name in RULE_FIELDS}}
    fields["slack"] = ["none", "shared"]
    first = {name: values[0] for name, values in FIELDS.items()}
    return [first | row for row in pairwise(fields, allowed)]


RULES = {op: rules(op) for op in OPS}


def cases(op, element, dims, batch):
    factors = {"element": element, "dims": dims, "batch": batch, "shape": (5, 7)}
    return {
        f"{op}_{i}": Case(row | factors, i)
        for i, row in enumerate(RULES[op])
        if allowed("op", op, "batch", batch)
    }


def similarities(element, dims, batch):
    """One matrix or a batch of them; there is nothing to share."""
    generator = np.random.default_rng(5)
    shape = (3, 6, 6) if batch == "all" else (6, 6)
    matrix = np.exp(3 * generator.normal(size=shape)) * generator.normal(size=shape)
    matrix = rounded(matrix, element)
    return {
        f"similarity_balance_{limit}": Call(
            "similarity_balance", {"matrix": matrix}, f"limit({limit})", element, dims=dims
        )
        for limit in LIMITS
    }  # fmt: skip


def groups():
    """The product of the five factors, each a program of many functions."""
    for op, element, dims, batch in product(OPS, ELEMENTS, DIMS, BATCHES):
        if allowed("op", op, "batch", batch):
            yield op, element, dims, batch
    yield from product(["similarity_balance"], ("f32", "f64"), DIMS, ("none", "all"))


GROUPS = [(route, *group) for route in ROUTES for group in groups()]


class Pipeline:
    """Compiles the programs of the groups in order, a few ahead, and says now
    and then how far it is."""

    def __init__(self, write_line):
        self.pool = ThreadPoolExecutor(2)
        self.started = {}
        self.write_line = write_line
        self.begin = time.monotonic()
        self.groups = self.cases = self.failed = 0

    def done(self, cases, failed):
        self.groups, self.cases = self.groups + 1, self.cases + cases
        self.failed += failed
        if self.groups % 10 == 0 or self.groups == len(GROUPS):
            self.write_line(
                f" {self.groups} of {len(GROUPS)} programs, {self.cases} cases, "
                f"{self.failed} failed, {time.monotonic() - self.begin:.0f} s"
            )

    def start(self, group):
        if group not in self.started:
            self.started[group] = self.pool.submit(self.build, group)

    @staticmethod
    def build(group):
        route, op, *factors = group
        if op == "similarity_balance":
            given = similarities(*factors)
            programs = Programs(route, given, level=0)
        else:
            given = cases(op, *factors)
            calls = {name: case.call() for name, case in given.items()}
            programs = Programs(route, calls, level=0)
        programs.compile()
        return given, programs

    def take(self, group):
        place = GROUPS.index(group)
        for later in GROUPS[place : place + 1 + AHEAD]:
            self.start(later)
        return self.started.pop(group).result()


@pytest.fixture(scope="module")
def pipeline(request):
    plugins = request.config.pluginmanager

    def write_line(text):
        with plugins.getplugin("capturemanager").global_and_fixture_disabled():
            plugins.getplugin("terminalreporter").write_line(text)

    made = Pipeline(write_line)
    yield made
    made.pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("group", GROUPS, ids=" ".join)
def test_group(pipeline, group):
    given, programs = pipeline.take(group)
    failures = {}
    for name, one in given.items():
        try:
            if isinstance(one, Call):
                limit = int(one.attributes.removeprefix("limit(").removesuffix(")"))
                compare_similarity(one.operands["matrix"], programs(name), limit)
            else:
                compare(one, programs(name))
        except (AssertionError, pytest.fail.Exception) as failure:
            failures[name] = str(failure)
    pipeline.done(len(given), len(failures))
    assert not failures, f"{len(failures)} of {len(given)}: {failures}"
