"""Gradients with respect to points: the matrix of costs is never there whole."""

import re
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest
import scaling_reference as ref
from findtool import find_tool
from programs import ROUTES, Call, Programs

#: Three blocks of rows and a rest.
N, M, D = 200, 150, 3
RNG = np.random.default_rng(0)
POINTS = {"x": RNG.normal(size=(N, D)), "y": RNG.normal(size=(M, D))}
OWN = {
    "row_marginal": RNG.dirichlet(np.full(N, 5.0)),
    "col_marginal": RNG.dirichlet(np.full(M, 5.0)),
}
WEIGHTS = {"w0": RNG.normal(size=N), "w1": RNG.normal(size=M)}
CALLS = {
    "rows": "stop(#scaling.stop<fixed 5>)",
    "long": "order(cols_first) stop(#scaling.stop<fixed 70>)",
    "jacobi": "order(jacobi) stop(#scaling.stop<fixed 6>)",
    "until": "stop(#scaling.stop<until 1.0e-3, limit = 40>)",
}
#: Of the dual values, which are to have converged.
EPSILON, HALF_STEPS, STEP = 2.0, 100, 1e-3
METRICS = {
    name: ("sqeuclidean", "dot") if name == "rows" else ("sqeuclidean",)
    for name in CALLS
}


def source(name, attributes, metric, n=N):
    """Of points where there is a metric, else of the costs between them."""
    cost = f"tensor<{n}x{M}xf64>"
    types = {"row_marginal": f"tensor<{n}xf64>", "col_marginal": f"tensor<{M}xf64>"}
    given = (
        {"x": f"tensor<{n}x{D}xf64>", "y": f"tensor<{M}x{D}xf64>"}
        if metric
        else {"c": cost}
    )
    signature = ", ".join(f"%{k}: {t}" for k, t in (given | types).items())
    costs = (
        f"%e = tensor.empty() : {cost}\n"
        f"%c = scaling.pairwise {metric} points(%x, %y : {', '.join(given.values())})"
        f" outs(%e : {cost}) -> {cost}\n"
    )
    marginals = " ".join(f"{k}(%{k} : {t})" for k, t in types.items())
    results = ", ".join(types.values())
    return f"""func.func @{name}({signature}) -> ({results}) {{
      {costs if metric else ""}
      %r:5 = scaling.sinkhorn cost(%c : {cost}) {marginals}
          form(#scaling.form<cost, epsilon = 0.7>) {attributes}
      return %r#0, %r#1 : {results}
    }}"""


def dual(name, metric, n=N):
    """The dual value of an iteration that converges."""
    cost, a, b = f"tensor<{n}x{M}xf64>", f"tensor<{n}xf64>", f"tensor<{M}xf64>"
    entry = "affine_map<(i, j) -> (i, j)>"
    points = f"tensor<{n}x{D}xf64>, tensor<{M}x{D}xf64>"
    given = f"%x: {points.replace(', ', ', %y: ')}" if metric else f"%c: {cost}"
    costs = (
        f"%c = scaling.pairwise {metric} points(%x, %y : {points})"
        f" outs(%e : {cost}) -> {cost}\n"
    )
    return f"""func.func @{name}({given}, %a: {a}, %b: {b}) -> tensor<f64> {{
      %e = tensor.empty() : {cost}
      {costs if metric else ""}
      %X = linalg.generic {{indexing_maps = [{entry}, {entry}],
                           iterator_types = ["parallel", "parallel"]}}
          ins(%c : {cost}) outs(%e : {cost}) {{
      ^bb0(%in: f64, %out: f64):
        %k = arith.constant {-1 / EPSILON} : f64
        %t = arith.mulf %in, %k : f64
        linalg.yield %t : f64
      }} -> {cost}
      %r:5 = scaling.iterate matrix(%X : {cost}) row_target(%a : {a}) col_target(%b : {b})
          rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first)
          stop(#scaling.stop<fixed {HALF_STEPS}>) numerics(#scaling.numerics<log>)
      %zero = arith.constant dense<0.0> : tensor<f64>
      %d = scaling.apply dual domain(log) matrix(%X : {cost}) row(%r#0 : {a})
          col(%r#1 : {b}) row_weight(%a : {a}) col_weight(%b : {b})
          outs(%zero : tensor<f64>) -> tensor<f64>
      return %d : tensor<f64>
    }}"""


def differentiated(text, passes=(), mode="unrolled"):
    done = subprocess.run(
        [find_tool("scaling-opt"), f"--scaling-differentiate=mode={mode}", *passes,
         "--mlir-print-local-scope"],
        input=text, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stderr[-3000:]}"
    return done.stdout


@dataclass
class Product(Call):
    metric: str = ""

    def element_of(self, keyword):
        return "f64"

    def results(self):
        return [
            (np.shape(v), "", "f64") for k, v in self.operands.items() if k[0] != "w"
        ]

    def text(self, name):
        text = source(name.removesuffix("_vjp"), self.attributes, self.metric)
        return differentiated(text).strip().removeprefix("module {").removesuffix("}")


class DualProduct(Product):
    def text(self, name):
        text = dual(name.removesuffix("_vjp"), self.metric)
        vjp = differentiated(text, mode=self.attributes)
        return vjp.strip().removeprefix("module {").removesuffix("}")


def costs(metric, x=POINTS["x"], y=POINTS["y"]):
    if metric == "dot":
        return x @ y.T
    return np.sum((x[:, None] - y[None]) ** 2, -1)


def products():
    calls = {}
    for name, attributes in CALLS.items():
        for metric in METRICS[name]:
            calls[f"{name}_{metric}_vjp"] = Product(
                "sinkhorn", POINTS | OWN | WEIGHTS, attributes, metric=metric
            )
            calls[f"{name}_{metric}_costs_vjp"] = Product(
                "sinkhorn", {"c": costs(metric)} | OWN | WEIGHTS, attributes
            )
    for mode in ("envelope", "unrolled"):
        calls[f"dual_{mode}_vjp"] = DualProduct(
            "apply", POINTS | OWN | {"w": np.array(1.5)}, mode, metric="sqeuclidean"
        )
    return calls


@pytest.fixture(scope="module")
def gradients():
    return {route: Programs(route, products(), level=0) for route in ROUTES}


@pytest.mark.parametrize(
    "name,metric", [(name, m) for name in CALLS for m in METRICS[name]]
)
@pytest.mark.parametrize("route", ROUTES)
def test_as_through_the_costs(gradients, route, name, metric):
    of_costs, *own = gradients["linalg"](f"{name}_{metric}_costs_vjp")
    x, y = POINTS["x"], POINTS["y"]
    if metric == "dot":
        expected = [of_costs @ y, of_costs.T @ x]
    else:
        turned = of_costs.T
        expected = [
            2 * (of_costs.sum(1)[:, None] * x - of_costs @ y),
            2 * (turned.sum(1)[:, None] * y - turned @ x),
        ]
    found = gradients[route](f"{name}_{metric}_vjp")
    for is_, should in zip(found, expected + own, strict=True):
        np.testing.assert_allclose(is_, should, rtol=1e-8, atol=1e-10)


def dual_value(x, y, row_marginal, col_marginal):
    """In units of ε, by the recurrence."""
    c = costs("sqeuclidean", x, y)
    solved = ref.sinkhorn(
        c, form=ref.Form(epsilon=EPSILON), row_target=row_marginal,
        col_target=col_marginal, stop=ref.fixed(HALF_STEPS),
    )  # fmt: skip
    f, g = solved.f, solved.g
    p = np.exp((f[:, None] + g[None] - c) / EPSILON)
    value = ref.dual_value(f, g, row_marginal, col_marginal, p, EPSILON)
    return value / EPSILON


@pytest.fixture(scope="module")
def slopes():
    """Of the dual value along a direction for each operand, by differences of fourth
    order; marginals keep their sums."""
    given, found = POINTS | OWN, {}
    for name, value in given.items():
        direction = np.random.default_rng(7).normal(size=value.shape)
        if value.ndim == 1:
            direction = (direction - np.average(direction, weights=value)) * value
        at = [
            dual_value(**given | {name: value + s * STEP * direction})
            for s in (2, 1, -1, -2)
        ]
        slope = (-at[0] + 8 * at[1] - 8 * at[2] + at[3]) / (12 * STEP)
        found[name] = direction, slope
    return found


@pytest.mark.parametrize("mode", ["envelope", "unrolled"])
@pytest.mark.parametrize("route", ROUTES)
def test_dual_value_against_differences(gradients, slopes, route, mode):
    found = gradients[route](f"dual_{mode}_vjp")
    for gradient, (direction, slope) in zip(found, slopes.values(), strict=True):
        terms = 1.5 * slope, np.sum(gradient * direction)
        scale = max(np.abs(terms[0]), np.sum(np.abs(gradient * direction)))
        assert abs(terms[1] - terms[0]) <= 1e-6 * scale


def allocated(name, n):
    passes = ["--scaling-to-linalg", "--scaling-bufferize"]
    if name == "dual":
        vjp = differentiated(dual("f", "sqeuclidean", n), passes, "unrolled")
    else:
        vjp = differentiated(source("f", CALLS[name], "sqeuclidean", n), passes)
    vjp = vjp[vjp.index("@f_vjp") :]
    found = 0
    for size in re.findall(r"memref\.alloca?\(\).* : memref<(.*?)>", vjp):
        *dims, element = size.split(",")[0].split("x")
        found += int(np.prod([int(d) for d in dims])) * int(element[1:]) // 8
    return found


@pytest.mark.parametrize("name", ["rows", "long", "jacobi", "dual"])
def test_nothing_of_the_size_of_the_costs(name):
    # More rows add to the vectors only.
    few, many = allocated(name, 640), allocated(name, 6400)
    assert 0 < many - few < (6400 - 640) * 100 * 8
    assert many < 6400 * M * 8
