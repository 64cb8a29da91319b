"""Vector-Jacobian products against central differences of the reference.

A pairwise covering array over the fields that have derivatives, and presets.
"""

import subprocess
from dataclasses import dataclass

import numpy as np
import pytest
import scaling_reference as sr
from cases import FIELDS, Case, allowed
from covering import pairwise
from findtool import find_tool
from programs import FULL, ROUTES, Call, Programs

SEEDS = range(6 if FULL else 1)
STEP = 1e-5
TOLERANCE = 1e-6
#: What is refused, and what has one value here.
WITHOUT = {
    "element": ["f64"],
    "accumulate": [None],
    "round": [None],
    # How it stops has no derivative.
    "what": ["marginal"],
    "norm": ["l1"],
    "cadence": [(2, 2), (3, 1)],
    "stop": ["fixed 4", "fixed 0", "fixed 1", "fixed 5", "until"],
    "imbalance": ["imbalance"],
    "patience": [None],
    "last": [True],
    # Entries or targets of zero have one-sided derivatives only.
    "zero weight": [False],
}


def smooth(case, seed):
    """The case with operands a little off, so that none lies on a bound."""
    rng = np.random.default_rng(seed)
    for keyword, x in case.given.items():
        if x.dtype != bool:
            case.given[keyword] = x * (1 + 0.01 * rng.uniform(-1, 1, x.shape))
    return case


CASES = {
    f"case_{seed}_{i}": smooth(Case(row, 1000 * seed + i), i)
    for seed in SEEDS
    for i, row in enumerate(pairwise({**FIELDS, **WITHOUT}, allowed, seed))
}


@dataclass
class Product(Call):
    """The vector-Jacobian product of a call; cotangents are operands."""

    base: Call | None = None

    @staticmethod
    def of(base, cotangents):
        operands = base.operands | {
            f"cotangent{i}": c for i, c in enumerate(cotangents)
        }
        return Product(base.op, operands, base.attributes, dims=base.dims, base=base)

    def results(self):
        return [
            (np.shape(v), self.base.tail(k), "f64")
            for k, v in self.base.operands.items()
            if self.base.element_of(k) == "f64"
        ]

    def text(self, name):
        function = self.base.text("f").replace("@f(", f"@{name[: -len('_vjp')]}(")
        done = subprocess.run(
            [find_tool("scaling-opt"), "--scaling-differentiate",
             "--mlir-print-local-scope"],
            input=function, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{function}\n{done.stderr[-3000:]}"
        body = done.stdout.strip()
        return body.removeprefix("module {").removesuffix("}")


def cotangents(case, name):
    """Random ones of what is differentiated: not of the residual, and not of
    infinite potentials."""
    rng = np.random.default_rng(len(name))
    shapes = [shape for shape, _, element in case.call().results() if element == "f64"]
    main = len(shapes) - (0 if case.op == "normalize" else 1)
    return [
        np.where(np.isfinite(result), rng.normal(size=shape), 0) * (i < main)
        for i, (shape, result) in enumerate(zip(shapes, case.reference()))
    ]


#: The native route has no derivatives of its own: some will do.
TESTS = [
    (route, name)
    for route in ROUTES
    for i, name in enumerate(CASES)
    if FULL or route == "linalg" or i % 4 == 0
]


@pytest.fixture(scope="session")
def programs():
    """Per route. Compiled as fast as can be: gradients are long programs."""
    return {
        route: Programs(
            route,
            {
                f"{name}_vjp": Product.of(
                    CASES[name].call(), cotangents(CASES[name], name)
                )
                for own, name in TESTS
                if own == route
            },
            level=3 if FULL else 0,
        )
        for route in ROUTES
    }


def terms(case, given, weights):
    """What the weighted sum of the results consists of."""
    results = case.reference(given=given)
    return np.concatenate([w[w != 0] * r[w != 0] for w, r in zip(weights, results)])


@pytest.mark.parametrize("route,name", TESTS)
def test_against_differences(programs, route, name):
    case = CASES[name]
    weights = cotangents(case, name)
    product = Product.of(case.call(), weights)
    gradients = programs[route].call(f"{name}_vjp", product)
    operands = [k for k in case.given if product.base.element_of(k) == "f64"]
    rng = np.random.default_rng(0)
    rounding = np.finfo(np.float64).eps * np.sum(
        np.abs(terms(case, case.given, weights))
    )
    for keyword, gradient in zip(operands, gradients):
        assert np.all(np.isfinite(gradient)), keyword
        x = np.asarray(case.given[keyword])
        # A statistic may leave zeros out.
        direction = rng.normal(size=x.shape) * (x != 0)
        ends = [
            np.sum(
                terms(case, {**case.given, keyword: x + s * STEP * direction}, weights)
            )
            for s in (2, 1, -1, -2)
        ]
        # Of fourth order.
        slope = (-ends[0] + 8 * ends[1] - 8 * ends[2] + ends[3]) / (12 * STEP)
        found = np.sum(gradient * direction)
        scale = max(abs(slope), np.sum(np.abs(gradient * direction)), 1e-3)
        bound = TOLERANCE * scale + 50 * rounding / STEP
        assert abs(found - slope) <= bound, (keyword, found, slope)
