"""`scaling.plan` and `scaling.apply` through linalg."""

import itertools

import numpy as np
import pytest

from linalg_program import (
    ROUNDING,
    TOLERANCE,
    TYPES,
    Program,
    assert_close,
    rounded,
    store,
    tensor,
)

B, N, M, K = 2, 5, 6, 3
DOMAINS = ["kernel", "log"]
FACTORS = ("row", "col", "row_weight", "col_weight")
PARTS = {"bare": (), "factors": FACTORS[:2], "all": FACTORS, "one": ("col",)}
# Which operands have the batch dimension.
BATCHED = {
    "plain": (),
    "batched": ("matrix", *FACTORS, "operand", "outs"),
    "shared_matrix": (*FACTORS, "operand", "outs"),
    "shared_factors": ("matrix", "outs"),
    "shared_plan": ("operand", "outs"),
    "shared_rows": ("matrix", "col", "col_weight", "outs"),
}
KINDS = ["plan", "log_plan", "product", "transposed", "value", "mass", "argmax", "dual"]
OFFSETS = {"argmax": ("offset",), "dual": ("offset", "row_offset")}


class Case:
    """One function and the problem it is called on."""

    def __init__(self, kind, domain, storage, acc, layout, parts, dims=False):
        self.kind, self.domain, self.layout = kind, domain, layout
        self.storage, self.acc, self.dims = storage, acc, dims
        self.parts = PARTS[parts]
        self.name = "_".join(
            [kind, domain, storage, acc, layout, parts] + ["dims"] * dims
        )
        self.batched = BATCHED[layout]
        self.takes_operand = kind in ("product", "transposed", "value")
        # The plan is stored like the matrix, other results accumulate.
        self.out = storage if kind in ("plan", "log_plan") else acc

    def is_batched(self, name):
        return name in self.batched

    def type_of(self, name, rank, element):
        return tensor([None] * (rank + self.is_batched(name)), element)

    def function(self):
        kind = self.kind
        matrix = self.type_of("matrix", 2, self.storage)
        arguments = [("matrix", matrix)]
        for part in self.parts:
            arguments.append((part, self.type_of(part, 1, self.acc)))
        if self.takes_operand:
            arguments.append(("operand", self.type_of("operand", 2, self.storage)))
        clauses = [f"{n}(%{n} : {t})" for n, t in arguments]
        for offset in OFFSETS.get(kind, ()):
            arguments.append((offset, "index"))
            clauses.append(f"{offset}(%{offset})")
        rank = {"value": 0, "mass": 0, "dual": 0, "argmax": 1}.get(kind, 2)
        results = [self.type_of("outs", rank, self.out)]
        if kind == "argmax":
            results.append(self.type_of("outs", rank, "i64"))
        arguments += [(f"o{i}", t) for i, t in enumerate(results)]
        head = {
            "plan": f"plan domain({self.domain})",
            "log_plan": f"plan domain({self.domain}) logarithm",
            "transposed": f"apply product transposed domain({self.domain})",
        }.get(kind, f"apply {kind} domain({self.domain})")
        types = ", ".join(results)
        outs = ", ".join(f"%o{i}" for i in range(len(results)))
        two = len(results) == 2
        dims = " {dims = array<i64: 1, 0>}" if self.dims else ""
        body = (
            f"  %r{':2' if two else ''} = scaling.{head} {' '.join(clauses)}"
            f" outs({outs} : {types}){dims} -> {types}\n"
            f"  return {'%r#0, %r#1' if two else '%r'} : {types}"
        )
        return arguments, results, body

    def problem(self, n=N, m=M, k=K, batch=B, seed=0):
        rng = np.random.default_rng(seed)
        shapes = {
            "matrix": (n, m),
            "row": (n,),
            "col": (m,),
            "row_weight": (n,),
            "col_weight": (m,),
            "operand": (n if self.kind == "transposed" else m, k),
        }
        if self.kind == "value":
            shapes["operand"] = (n, m)
        values = {}
        for name, shape in shapes.items():
            low = 0.2 if name != "operand" else -1.0
            value = rng.uniform(
                low, 1.5, (batch if self.layout != "plain" else 1, *shape)
            )
            if self.domain == "log" and name in ("matrix", "row", "col"):
                value = np.log(value)
            if not self.is_batched(name):
                value[:] = value[:1]
            element = self.storage if name in ("matrix", "operand") else self.acc
            values[name] = rounded(value, element)
        return values

    def plan(self, values):
        def part(name, axis):
            if name not in self.parts:
                return 0.0 if self.domain == "log" and "weight" not in name else 1.0
            return np.expand_dims(values[name], 2 if axis == "row" else 1)

        with np.errstate(all="ignore"):
            if self.domain == "log":
                p = np.exp(values["matrix"] + part("row", "row") + part("col", "col"))
            else:
                p = values["matrix"] * part("row", "row") * part("col", "col")
        none = -np.inf if self.domain == "log" else 0.0
        if "row" in self.parts:
            p = np.where(part("row", "row") == none, 0.0, p)
        if "col" in self.parts:
            p = np.where(part("col", "col") == none, 0.0, p)
        return p * part("row_weight", "row") * part("col_weight", "col")

    def dual(self, values, offset, row_offset):
        """What `docs` say; zero marginals and a tile's place included."""
        batch, n, m = values["matrix"].shape
        names = ("row", "col", "row_weight", "col_weight")
        row, col, a, b = (values[name] for name in names)
        ones = dict(values, row_weight=np.ones_like(a), col_weight=np.ones_like(b))
        entries = a[:, :, None] * b[:, None, :] - self.plan(ones)
        with np.errstate(all="ignore"):
            f, g = (row, col) if self.domain == "log" else (np.log(row), np.log(col))
            rows = np.where(a == 0, 0.0, a * (f - np.log(a))).sum(axis=1)
            cols = np.where(b == 0, 0.0, b * (g - np.log(b))).sum(axis=1)
        total = entries.sum(axis=(1, 2))
        if offset == 0 and m > 0:
            total = total + rows
        if row_offset == 0 and n > 0:
            total = total + cols
        return total

    def expected(self, values, start=None, offset=0, row_offset=0):
        if self.kind == "dual":
            return [start[0] + self.dual(values, offset, row_offset)]
        p = self.plan(values)
        if self.kind == "plan":
            return [p]
        with np.errstate(all="ignore"):
            if self.kind == "log_plan":
                return [np.log(p)]
            if self.kind == "product":
                return [start[0] + p @ values["operand"]]
            if self.kind == "transposed":
                return [start[0] + np.swapaxes(p, 1, 2) @ values["operand"]]
            if self.kind == "value":
                terms = np.where(p == 0, 0.0, p * values["operand"])
                return [start[0] + terms.sum(axis=(1, 2))]
            if self.kind == "mass":
                return [start[0] + p.sum(axis=(1, 2))]
        top, at = p.max(axis=2), p.argmax(axis=2) + offset
        larger = top > start[0]
        return [np.where(larger, top, start[0]), np.where(larger, at, start[1])]

    def shape(self, values):
        batch, n, m = values["matrix"].shape
        k = values["operand"].shape[2]
        return {
            "product": (batch, n, k),
            "transposed": (batch, m, k),
            "value": (batch,),
            "mass": (batch,),
            "dual": (batch,),
            "argmax": (batch, n),
        }.get(self.kind, (batch, n, m))

    def run(self, program, values, start, offset=0, row_offset=0):
        def placed(name, value):
            return value if self.is_batched(name) else value[0]

        def turned(value):
            return np.swapaxes(value, -1, -2) if self.dims else value

        inputs = [store(turned(placed("matrix", values["matrix"])), self.storage)]
        inputs += [store(placed(p, values[p]), self.acc) for p in self.parts]
        if self.takes_operand:
            inputs.append(store(placed("operand", values["operand"]), self.storage))
        inputs += [offset, row_offset][: len(OFFSETS.get(self.kind, ()))]
        outs = [placed("outs", s) for s in start]
        if self.kind in ("plan", "log_plan"):
            outs = [turned(o) for o in outs]
        elements = [self.out, "i64"]
        inputs += [store(o, e) for o, e in zip(outs, elements)]
        results = program.call(self.name, inputs, [o.shape for o in outs])
        if self.kind in ("plan", "log_plan"):
            results = [turned(r) for r in results]
        return [r if self.is_batched("outs") else r[None] for r in results]

    def start(self, values, seed=1):
        shape = self.shape(values)
        if self.kind in ("plan", "log_plan"):
            return [np.full(shape, np.nan)]
        if self.kind == "argmax":
            return [np.full(shape, -1.0), np.full(shape, -1)]
        rng = np.random.default_rng(seed)
        return [rounded(rng.normal(size=shape), self.acc)]

    def tolerance(self):
        # The entry is computed in the widest type, then rounded once.
        exact = TOLERANCE["f64" if "f64" in (self.storage, self.acc) else "f32"]
        return exact + ROUNDING[self.out]


def cases():
    for domain in DOMAINS:
        for storage, acc in TYPES[:3]:
            yield Case("dual", domain, storage, acc, "batched", "all")
        for layout in BATCHED:
            if layout != "batched":
                yield Case("dual", domain, "f64", "f64", layout, "all")
    for kind, domain in itertools.product(KINDS, DOMAINS):
        if kind == "dual":
            continue
        for storage, acc in TYPES[:3]:
            yield Case(kind, domain, storage, acc, "batched",
                       "factors" if kind == "log_plan" else "all")  # fmt: skip
        for layout in BATCHED:
            if layout != "batched":
                yield Case(kind, domain, "f64", "f64", layout, "factors")
        for parts in ("bare", "one"):
            yield Case(kind, domain, "f64", "f64", "plain", parts)
    for kind, domain in itertools.product(KINDS, DOMAINS):
        if kind == "dual":
            continue
        # Results in a storage type, potentials finer than the matrix.
        if kind not in ("plan", "log_plan"):
            yield Case(kind, domain, "bf16", "bf16", "batched", "factors")
        else:
            yield Case(kind, domain, "f64", "f64", "plain", "factors", dims=True)
        yield Case(kind, domain, "f32", "f64", "batched", "factors")


CASES = {case.name: case for case in cases()}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = Program()
    for case in CASES.values():
        program.add(case.name, *case.function())
    program.compile(tmp_path_factory.mktemp("plan_apply"))
    return program


def check(case, program, values, offset=0, row_offset=0):
    start = case.start(values)
    actual = case.run(program, values, start, offset, row_offset)
    expected = case.expected(values, start, offset, row_offset)
    assert_close(actual[0], expected[0], case.tolerance())
    if case.kind == "argmax":
        np.testing.assert_array_equal(actual[1], expected[1])


@pytest.mark.parametrize("case", CASES.values(), ids=lambda c: c.name)
def test_values(program, case):
    check(case, program, case.problem(), offset=11)


@pytest.mark.parametrize(
    "sizes", [(0, 4, 3, 2), (4, 0, 3, 2), (4, 3, 0, 2), (4, 3, 2, 0)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_empty(program, kind, sizes):
    parts = "factors" if kind == "log_plan" else "all"
    case = CASES[f"{kind}_kernel_f64_f64_batched_{parts}"]
    values = case.problem(*sizes)
    start = case.start(values)
    # Rows without columns keep what there was.
    without = kind == "argmax" and sizes[1] == 0
    expected = start if without else case.expected(values, start)
    for a, e in zip(case.run(program, values, start), expected):
        assert_close(a, e, 1e-12)


@pytest.mark.parametrize("offset", [0, 3])
@pytest.mark.parametrize("row_offset", [0, 2])
@pytest.mark.parametrize("domain", DOMAINS)
def test_dual_tiles(program, domain, offset, row_offset):
    """A tile counts the terms of its rows or columns only at the edge; a zero
    marginal none."""
    case = CASES[f"dual_{domain}_f64_f64_batched_all"]
    values = case.problem(seed=5)
    check(case, program, values, offset, row_offset)
    values["row_weight"][1, 2] = values["col_weight"][0, 1] = 0.0
    values["row"][1, 2] = values["col"][0, 1] = -np.inf if domain == "log" else 0.0
    check(case, program, values, offset, row_offset)


@pytest.mark.parametrize("domain", DOMAINS)
def test_dual_tiles_add_up(program, domain):
    case = CASES[f"dual_{domain}_f64_f64_batched_all"]
    values = case.problem(seed=6)
    whole = case.run(program, values, case.start(values))
    merged = case.start(values)
    for rows, cols in itertools.product(
        (slice(0, 2), slice(2, N)), (slice(0, 5), slice(5, M))
    ):
        tile = dict(values, matrix=values["matrix"][:, rows, cols])
        for name in ("row", "row_weight"):
            tile[name] = values[name][:, rows]
        for name in ("col", "col_weight"):
            tile[name] = values[name][:, cols]
        merged = case.run(program, tile, merged, cols.start, rows.start)
    assert_close(merged[0], whole[0], 1e-13)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dual"])
def test_zero_factors_win(program, kind, domain):
    """Zero rows and columns are exactly zero, whatever the matrix holds."""
    case = CASES[f"{kind}_{domain}_f64_f64_shared_factors_factors"]
    values = case.problem()
    none = -np.inf if domain == "log" else 0.0
    values["row"][:, 1], values["col"][:, 2] = none, none
    values["matrix"][:, 1, 0] = np.inf
    values["matrix"][:, 0, 2] = np.inf
    if kind == "value":
        values["operand"][:, 1, 0] = np.inf
    check(case, program, values)


@pytest.mark.parametrize("domain", DOMAINS)
def test_argmax_first_among_equals_and_merges(program, domain):
    """Column tiles give what the whole matrix gives; later equals lose."""
    case = CASES[f"argmax_{domain}_f64_f64_batched_all"]
    values = case.problem()
    values["matrix"][:] = values["matrix"][:, :, :1]
    values["col"][:], values["col_weight"][:] = values["col"][:, :1], 1.0
    start = case.start(values)
    whole = case.run(program, values, start)
    assert (whole[1] == 0).all()

    values = case.problem(seed=3)
    whole = case.run(program, values, case.start(values))
    merged = case.start(values)
    for begin, end in ((0, 2), (2, 5), (5, M)):
        tile = dict(values)
        tile["matrix"] = values["matrix"][:, :, begin:end]
        tile["col"] = values["col"][:, begin:end]
        tile["col_weight"] = values["col_weight"][:, begin:end]
        merged = case.run(program, tile, merged, offset=begin)
    for a, e in zip(merged, whole):
        np.testing.assert_array_equal(a, e)
