"""`scaling.reduce` through linalg: every statistic, axis, option and layout."""

import itertools

import numpy as np
import pytest

from linalg_program import (
    TOLERANCE,
    TYPES,
    Program,
    assert_close,
    rounded,
    store,
    tensor,
)

PASSES = {
    "sum": 1,
    "lse": 2,
    "l1": 1,
    "l2": 1,
    "linf": 1,
    "mean_square": 2,
    "std": 3,
    "geomean": 2,
}
AXES = ["rows", "cols"]
# Where the batch is: nowhere, in front of everything, in front of some
# operands only, or behind (the matrix' dimensions named by `dims`).
LAYOUTS = ["plain", "batched", "shared_matrix", "shared_factor", "batch_last"]
OPTIONS = {
    "bare": (),
    "factor": ("factor",),
    "mask": ("mask",),
    "scale": ("scale",),
    "all": ("factor", "mask", "scale"),
}
B, N, M = 2, 5, 6


def identity(stat, index, element):
    if stat == "lse" and index == 0:
        return -np.finfo({"f64": np.float64, "f32": np.float32}[element]).max
    return 0.0


def states(stat, y):
    """The states over the last axis; excluded entries are NaN."""
    here = ~np.isnan(y)

    def total(values):
        return np.sum(np.where(here, values, 0.0), axis=-1)

    count = total(np.ones_like(y))
    if stat == "sum":
        return [total(y)]
    if stat == "l1":
        return [total(np.abs(y))]
    if stat == "l2":
        return [total(y * y)]
    if stat == "linf":
        return [np.max(np.where(here, np.abs(y), 0.0), axis=-1, initial=0.0)]
    if stat == "mean_square":
        return [total(y * y), count]
    if stat == "lse":
        top = np.max(np.where(here, y, -np.inf), axis=-1, initial=-np.inf)
        return [top, total(np.exp(y - top[..., None]))]
    if stat == "std":
        mean = total(y) / np.maximum(count, 1)
        return [count, total(y), total((y - mean[..., None]) ** 2)]
    nonzero = y != 0
    return [
        total(np.log(np.abs(np.where(nonzero, y, 1.0)))),
        total(nonzero.astype(float)),
    ]


class Layout:
    """Ranks and positions of one layout."""

    def __init__(self, layout, axis):
        self.axis = axis
        self.last = layout == "batch_last"
        self.batched = layout != "plain"
        self.matrix_batched = layout not in ("plain", "shared_matrix")
        self.factor_batched = layout in ("batched", "shared_matrix", "batch_last")

    def place(self, values, batched):
        """From [batch, …] to where the batch is."""
        if not batched:
            return values[0]
        return np.ascontiguousarray(np.moveaxis(values, 0, -1)) if self.last else values

    def unplace(self, values):
        """Back to [batch, …]."""
        if not self.batched:
            return values[None]
        return np.moveaxis(values, -1, 0) if self.last else values


def function_text(stat, axis, storage, acc, layout, options, fresh):
    form = Layout(layout, axis)
    passes = PASSES[stat]
    rank = 2 + form.matrix_batched
    matrix = tensor([None] * rank, storage)
    vector = tensor([None] * (1 + form.factor_batched), acc)
    mask = tensor([None] * (1 + form.factor_batched), "i1")
    out = tensor([None] * (1 + form.batched), acc)
    arguments = [("A", matrix)]
    clauses = [f"matrix(%A : {matrix})"]
    for name, type_text in (("factor", vector), ("mask", mask), ("scale", acc)):
        if name in options:
            arguments.append((name, type_text))
            clauses.append(f"{name}(%{name} : {type_text})")
    lines, starts = [], []
    for index in range(passes):
        arguments.append((f"o{index}", out))
        starts.append(f"%o{index}")
        if fresh:
            value = identity(stat, index, acc)
            lines += [
                f"  %i{index} = arith.constant {value:.17e} : {acc}",
                f"  %f{index} = linalg.fill ins(%i{index} : {acc}) outs(%o{index} : {out}) -> {out}",
            ]
            starts[-1] = f"%f{index}"
    results = ", ".join([out] * passes)
    dims = " {dims = array<i64: 0, 1>}" if form.last else ""
    names = ", ".join(f"%r#{i}" for i in range(passes)) if passes > 1 else "%r"
    lines += [
        f"  %r{f':{passes}' if passes > 1 else ''} = scaling.reduce along({axis})"
        f" stat(#scaling.{stat}) {' '.join(clauses)}"
        f" outs({', '.join(starts)} : {results}){dims} -> {results}",
        f"  return {names} : {results}",
    ]
    return arguments, [out] * passes, "\n".join(lines)


def cases():
    for stat, axis, (storage, acc) in itertools.product(PASSES, AXES, TYPES):
        for layout in LAYOUTS:
            for option in OPTIONS:
                # Each option alone where there is no batch; all everywhere.
                if layout != "plain" and option != "all":
                    continue
                if storage != "f64" and option not in ("bare", "all"):
                    continue
                if storage == "f16" and (layout != "batched" or axis == "cols"):
                    continue
                yield stat, axis, storage, acc, layout, option


CASES = list(cases())
IDS = ["-".join(case[:3] + case[4:]) for case in CASES]


def name_of(case, fresh=False):
    return "_".join(case) + ("_fresh" if fresh else "")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = Program()
    for case in CASES:
        stat, axis, storage, acc, layout, option = case
        for fresh in (False, True):
            if fresh and (layout, option) != ("batched", "all"):
                continue
            program.add(
                name_of(case, fresh),
                *function_text(
                    stat, axis, storage, acc, layout, OPTIONS[option], fresh
                ),
            )
    program.compile(tmp_path_factory.mktemp("reduce"))
    return program


class Data:
    """One problem: [batch, kept, reduced], and how it is passed."""

    def __init__(self, case, kept, reduced, batch=B, seed=0):
        self.stat, axis, self.storage, self.acc, layout, option = case
        self.options = OPTIONS[option]
        self.form = Layout(layout, axis)
        self.axis = axis
        rng = np.random.default_rng(seed)
        if not self.form.batched:
            batch = 1
        self.batch, self.kept, self.reduced = batch, kept, reduced
        self.y = rounded(rng.normal(size=(batch, kept, reduced)), self.storage)
        self.y[:, :, reduced // 2 : reduced // 2 + 1] *= self.stat != "geomean"
        self.factor = rounded(rng.uniform(0.5, 2.0, (batch, reduced)), self.acc)
        self.mask = rng.uniform(size=(batch, reduced)) < 0.7
        self.scale = rounded(0.375, self.acc)
        if not self.form.matrix_batched:
            self.y[:] = self.y[:1]
        if not self.form.factor_batched:
            self.factor[:], self.mask[:] = self.factor[:1], self.mask[:1]

    def seen(self):
        """The entries the statistic sees, NaN where masked."""
        y = self.y
        if "scale" in self.options:
            y = y * self.scale
        if "factor" in self.options:
            factor = self.factor[:, None, :]
            y = y + factor if self.stat == "lse" else y * factor
        if "mask" in self.options:
            y = np.where(self.mask[:, None, :], y, np.nan)
        return y

    def start(self):
        return [
            np.full((self.batch, self.kept), identity(self.stat, i, self.acc))
            for i in range(PASSES[self.stat])
        ]

    def run(self, program, name, start, part=slice(None)):
        y = self.y[:, :, part]
        matrix = y if self.axis == "rows" else np.swapaxes(y, 1, 2)
        inputs = [
            store(self.form.place(matrix, self.form.matrix_batched), self.storage)
        ]
        if "factor" in self.options:
            vector = self.form.place(self.factor[:, part], self.form.factor_batched)
            inputs.append(store(vector, self.acc))
        if "mask" in self.options:
            inputs.append(self.form.place(self.mask[:, part], self.form.factor_batched))
        if "scale" in self.options:
            inputs.append(float(self.scale))
        placed = [self.form.place(s, self.form.batched) for s in start]
        inputs += [store(s, self.acc) for s in placed]
        results = program.call(name, inputs, [p.shape for p in placed])
        return [self.form.unplace(r) for r in results]

    def check(self, actual):
        expected = states(self.stat, self.seen())
        for index, (a, e) in enumerate(zip(actual, expected)):
            # An empty maximum stays at its finite neutral element.
            if self.stat == "lse" and index == 0:
                e = np.maximum(e, identity("lse", 0, self.acc))
            assert_close(a, e, TOLERANCE[self.acc])


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_whole(program, case):
    data = Data(case, N, M)
    data.check(data.run(program, name_of(case), data.start()))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_split(program, case):
    """The second part starts where the first has ended: states are rebased."""
    data = Data(case, N, M, seed=1)
    first = data.run(program, name_of(case), data.start(), slice(0, 2))
    data.check(data.run(program, name_of(case), first, slice(2, None)))


FRESH = [c for c in CASES if (c[4], c[5]) == ("batched", "all")]


@pytest.mark.parametrize("case", FRESH, ids=lambda c: "-".join(c[:3]))
def test_fresh(program, case):
    """Destinations filled with the neutral element in the program."""
    data = Data(case, N, M)
    garbage = [np.full((data.batch, data.kept), 7.0)] * PASSES[data.stat]
    data.check(data.run(program, name_of(case, fresh=True), garbage))


@pytest.mark.parametrize("case", FRESH, ids=lambda c: "-".join(c[:3]))
@pytest.mark.parametrize("sizes", [(0, 4, 2), (4, 0, 2), (0, 0, 2), (3, 3, 0)])
def test_empty(program, case, sizes):
    kept, reduced, batch = sizes
    data = Data(case, kept, reduced, batch)
    data.check(data.run(program, name_of(case), data.start()))


@pytest.mark.parametrize("stat", list(PASSES))
@pytest.mark.parametrize("axis", AXES)
def test_everything_masked(program, stat, axis):
    case = (stat, axis, "f64", "f64", "plain", "mask")
    data = Data(case, N, M)
    data.mask[:] = False
    data.y[:, 0, 0] = np.inf  # behind the mask: not seen
    actual = data.run(program, name_of(case), data.start())
    for a, e in zip(actual, data.start()):
        np.testing.assert_array_equal(a, e)


@pytest.mark.parametrize("stat", [s for s in PASSES if s != "geomean"])
def test_nan_is_seen(program, stat):
    case = (stat, "rows", "f64", "f64", "plain", "bare")
    data = Data(case, N, M)
    data.y[:, 1, 2] = np.nan
    last = [s for s in data.run(program, name_of(case), data.start())]
    value = last[0] if stat == "mean_square" else last[-1]
    assert np.isnan(value[0, 1]) and not np.isnan(value[0, 0])


def test_no_mass_in_the_log_domain(program):
    """Rows of −inf leave the neutral states, whose logarithm is −inf."""
    case = ("lse", "rows", "f64", "f64", "plain", "bare")
    data = Data(case, N, M)
    data.y[:] = -np.inf
    top, total = data.run(program, name_of(case), data.start())
    assert (total == 0).all() and np.isfinite(top).all()
