"""The full product of kernels: every op, regime, preset and element type.

A preset is one of the dialect's, or a domain, which is no preset but what the
op does by itself there. What stands beside the four factors, masks or targets,
is in turn one of three: every op, regime and preset has all of them.

`refusal` is the one place that says which combinations there are not, and what
the compiler says of them.
"""

from collections import namedtuple
from dataclasses import replace
from itertools import product

import assembly
import numpy as np
import scaling_reference as sr
from cases import FIELDS, NORMALIZE, Case, compare, compare_similarity
from emulated_kernels import compile_kernel, execute
from programs import Call, load, rounded, store
from scaling_reference.presets import PRESET_SPECS

DOMAINS = ("kernel", "log", "absorb")
PRESETS = (*PRESET_SPECS, *DOMAINS)
OPS = (*FIELDS["op"], "similarity_balance")
ELEMENTS = ("f32", "f64", "f16", "bf16")
#: Which sizes the types of a regime show, and the sizes its kernels are run at.
#: The last are of a matrix between points, which is never stored where the
#: schedule is that of clouds.
REGIMES = {
    "thread": ("batch", [(1, 4, 4), (33, 4, 4), (130, 4, 4)]),
    "thread ragged": ("batch", [(1, 3, 5), (129, 3, 5)]),
    "warp": ("batch", [(1, 17, 13), (3, 17, 13)]),
    "block": ("batch", [(1, 37, 41), (2, 37, 41)]),
    "batch": ("dynamic", [(1, 1, 1), (2, 33, 1), (1, 1, 31), (2, 9, 40), (3, 5, 34)]),
    "grid": ("dynamic", [(1, 1), (1, 33), (31, 2), (33, 65), (38, 136), (64, 64)]),
    "cloud": ("dynamic", [(1, 1), (5, 140), (129, 31), (70, 130)]),
}  # fmt: skip
#: Coordinates of a point of the clouds.
DIM = 5
OPERANDS = ("nothing", "masks", "targets")
#: Half-steps that a program does at most, where its count may be another.
MOST_STEPS = {"fixed": 8, "until": 24, "best": 8}
#: What the matrix looks like: a scale of normally distributed logits.
SCALES = {"swav": 0.2, "sela": 0.3}
#: Presets that a temperature is given to, and that.
HEATED = ("pot", "pot_log", "pot_stabilized", "pot_unbalanced", "ott")
EPSILON = 0.25

#: Presets whose kernels of some rows' lengths f32 does not have the range for.
WARMER = {"sela": 0.25}

Combination = namedtuple("Combination", "op regime preset element")

#: Presets of other ops than that of their record.
BELONGS = {
    "attention": {"sinkformer"},
    "sinkhorn": {
        "mhc_clamp", "mhc_log", "mhc_columns", "mhc_static", "mhc_recip",
        "megatron_moe", "gumbel",
    },
    "project": {"pot", "pot_log", "pot_stabilized", "pot_unbalanced", "ott", "geomloss"},
}  # fmt: skip


def mnemonic(op):
    return "normalize" if op in NORMALIZE else op


def refusal(op, regime, preset, element):
    """What the compiler says where there is no such program; None where there
    is one."""
    if preset in PRESET_SPECS:
        if op != PRESET_SPECS[preset]["op"] and preset not in BELONGS.get(op, ()):
            return f"preset '{preset}' does not belong to scaling.{mnemonic(op)}"
    elif op == "similarity_balance":
        return "'numerics' is unknown"
    elif op == "balance" and preset != "kernel":
        return "'numerics' must be in the kernel domain"
    if op == "similarity_balance" and element in ("f16", "bf16") and regime != "cloud":
        return "must be ranked tensor of 32-bit float or 64-bit float values"
    return None


def combinations():
    """All of the product, what is refused too."""
    return [Combination(*values) for values in product(OPS, REGIMES, PRESETS, ELEMENTS)]


def operands_of(combination):
    """In turn, along the element types and the regimes."""
    op, regime, preset, element = combination
    if op == "similarity_balance":
        return "nothing"
    place = (
        ELEMENTS.index(element) + list(REGIMES).index(regime) + PRESETS.index(preset)
    )
    return OPERANDS[place % len(OPERANDS)]


def bounded(stop):
    """The same way of stopping, soon."""
    if stop.mode == "fixed":
        most = MOST_STEPS["fixed"] + stop.half_steps % 2
        return replace(stop, half_steps=min(stop.half_steps, most))
    limit = max(MOST_STEPS[stop.mode], getattr(stop, "start", 0) + stop.every)
    return replace(stop, limit=min(stop.limit, limit))


class Configured(Case):
    """A combination at one of the sizes of its regime."""

    def __init__(self, combination, size):
        self.combination, self.size = combination, size
        self.row = {name: values[0] for name, values in FIELDS.items()}
        super().__init__(self.row | {"op": combination.op}, sum(size))

    def build(self):
        op, regime, preset, element = self.combination
        spec = PRESET_SPECS.get(preset, {})
        self.domain = spec.get("domain", preset)
        self.kind = "kernel" if self.op == "balance" else spec.get("kind", "logits")
        self.form = spec.get("form", sr.Form())
        if preset in WARMER:
            self.form = replace(self.form, epsilon=WARMER[preset])
        plain = sr.Rule(target="uniform") if self.op == "attention" else sr.Rule()
        self.row_rule = spec.get("rows", plain)
        self.col_rule = spec.get("cols", plain)
        self.row["order"] = spec.get("order", "rows_first")
        self.stop_at = sr.fixed(1)
        if self.op not in ("normalize", "similarity_balance"):
            self.stop_at = spec.get("stop", sr.fixed(5))
            if not self.form.anneal:
                self.stop_at = bounded(self.stop_at)
        self.dims = REGIMES[regime][0]
        # Costs of narrow points are f32.
        self.element = element
        if regime == "cloud" and self.op != "attention":
            self.element = "f64" if element == "f64" else "f32"
        self.accumulate = "f64" if element == "f64" else "f32"
        self.given = {
            k: v if v.dtype == bool else rounded(v, self.element)
            for k, v in self.values_of(spec).items()
        }
        if self.kind in self.given:
            coldest = min((self.form.epsilon, *self.form.anneal))
            spread = np.abs(self.given[self.kind]).max() / coldest
            self.exponents = max(self.exponents, spread)

    def values_of(self, spec):
        op, regime, preset, element = self.combination
        rng, (*batch, n, m) = self.rng, self.size
        given, self.points = {}, {}
        if op == "attention":
            for name, shape in (("query", (n, 4)), ("key", (m, 4)), ("value", (m, 3))):
                given[name] = rng.normal(size=(*batch, *shape))
        else:
            if op == "similarity_balance":
                m = n
            keyword = "matrix" if self.op.endswith("balance") else self.kind
            if regime == "cloud":
                self.points = {
                    name: rounded(0.4 * rng.normal(size=(size, DIM)), element)
                    for name, size in (("x", n), ("y", m))
                }
                self.metric = "dot" if keyword == "logits" else "sqeuclidean"
                values = sr.pairwise(*self.points.values(), self.metric)
            elif keyword == "matrix":
                values = rng.normal(size=(*batch, n, m))
                values *= rng.lognormal(0, 1, (*batch, n, 1))
                # Sums that may be zero are no scale.
                if op == "balance" and self.row_rule.stat == "sum":
                    values = np.abs(values)
            elif keyword == "cost":
                values = rng.uniform(0, 1, (*batch, n, m))
            else:
                values = SCALES.get(preset, 1.0) * rng.normal(size=(*batch, n, m))
            given[keyword] = values
        if refusal(*self.combination):
            return given
        if "slack" in spec.get("needs", ()):
            given["slack"] = np.array(0.3)
        if preset in HEATED:
            given["epsilon"] = np.array(EPSILON)
        return given | self.beside(batch, n, m, "slack" in given)

    def beside(self, batch, n, m, slack):
        """Masks or targets, of an axis that has them."""
        what, rng, given = operands_of(self.combination), self.rng, {}
        for axis, size in (("row", n), ("col", m)):
            along = f"{axis}s" == self.along
            if what == "masks" and (self.along is None or not along):
                mask = rng.uniform(size=(*batch, size + slack)) < 0.7
                # The slack's is given too.
                mask[..., [0, -1]] = True
                given["mask" if self.along else f"{axis}_mask"] = mask
            if (
                what == "targets"
                and self.op != "attention"
                and (along or not self.along)
            ):
                if self.row_rule.target == "min_stat":
                    continue
                target = rng.uniform(0.5, 1.5, (*batch, size + slack))
                target *= 1 / target.sum(-1, keepdims=True)
                name = "target" if self.op == "balance" else "marginal"
                given["target" if self.along else f"{axis}_{name}"] = target
        return given

    def attributes(self):
        op, regime, preset, element = self.combination
        if preset in PRESET_SPECS:
            given = not refusal(*self.combination) and op != "similarity_balance"
            stop = f" stop({assembly.stop(self.stop_at)})" if given else ""
            if preset in WARMER and given:
                stop += f" form({assembly.form(self.form, self.kind)})"
            return f"preset({preset}){stop}"
        numerics = f"numerics(#scaling.numerics<{self.domain}>)"
        if op == "similarity_balance":
            return numerics
        if self.op == "normalize":
            form = assembly.form(self.form, self.kind)
            return f"form({form}) rule({assembly.rule(self.row_rule)}) {numerics}"
        form = {} if op == "balance" else dict(enters=self.form, kind=self.kind)
        return assembly.attributes(
            domain=self.domain, rows=self.row_rule, cols=self.col_rule,
            order=self.row["order"], stop_at=self.stop_at, **form,
        )  # fmt: skip

    def call(self):
        return Call(
            self.op, self.given, self.attributes(), self.element, self.accumulate,
            dims=self.dims, slack="slack" in self.given, along=self.along,
        )  # fmt: skip

    def text(self):
        """The program; of points, with the matrix between them."""
        call = self.call()
        text = call.text("solve")
        if not self.points:
            return text
        keyword, element = next(iter(self.given)), self.combination.element
        matrix = call.type(self.given[keyword].shape, "nm", self.element)
        points = f"tensor<?x{DIM}x{element}>"
        between = f"""
  %zero = arith.constant 0 : index
  %n = tensor.dim %x, %zero : {points}
  %m = tensor.dim %y, %zero : {points}
  %empty = tensor.empty(%n, %m) : {matrix}
  %{keyword} = scaling.pairwise {self.metric} points(%x, %y : {points}, {points})
      outs(%empty : {matrix}) -> {matrix}
"""
        return text.replace(
            f"%{keyword}: {matrix}", f"%x: {points}, %y: {points}", 1
        ).replace("{\n", "{" + between, 1)

    def inputs(self):
        call = self.call()
        given = list(call.operands)
        points = [store(p, self.combination.element) for p in self.points.values()]
        return points + [call.stored(k) for k in given[1 if points else 0 :]]


class Program:
    """The kernel of a combination, compiled once for all sizes."""

    def __init__(self, combination):
        sizes = REGIMES[combination.regime][1]
        self.cases = [Configured(combination, size) for size in sizes]
        (text,) = {case.text() for case in self.cases}
        self.code = compile_kernel(text, "llvm")

    def run(self, case, seed, grid=3):
        outputs = [(shape, element) for shape, _, element in case.call().results()]
        return execute(
            self.code, "solve", case.inputs(), outputs, grid=grid, seed=seed, races=True
        )[0]

    def check(self, case, orders):
        """Same bits in every order, and those are the reference's numbers."""
        first, *others = orders
        for other in others:
            for x, y in zip(first, other):
                np.testing.assert_array_equal(x, y)
        results = [
            load(array, element)
            for array, (*_, element) in zip(first, case.call().results())
        ]
        if case.op == "similarity_balance":
            # Distances are rounded.
            bound = 1e-6 if case.points and case.element == "f32" else 0
            compare_similarity(case.given["matrix"], results, bound=bound)
        else:
            compare(case, results)
