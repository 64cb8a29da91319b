"""Gradients with respect to points: the matrix of costs is never there whole."""

import re
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest
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


def differentiated(text, passes=()):
    done = subprocess.run(
        [find_tool("scaling-opt"), "--scaling-differentiate", *passes,
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


def costs(metric):
    x, y = POINTS["x"], POINTS["y"]
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


def allocated(name, n):
    vjp = differentiated(
        source("f", CALLS[name], "sqeuclidean", n),
        ["--scaling-to-linalg", "--scaling-bufferize"],
    )
    vjp = vjp[vjp.index("@f_vjp") :]
    found = 0
    for size in re.findall(r"memref\.alloca?\(\).* : memref<(.*?)>", vjp):
        *dims, element = size.split(",")[0].split("x")
        found += int(np.prod([int(d) for d in dims])) * int(element[1:]) // 8
    return found


@pytest.mark.parametrize("name", ["rows", "long", "jacobi"])
def test_nothing_of_the_size_of_the_costs(name):
    # More rows add to the vectors only.
    few, many = allocated(name, 640), allocated(name, 6400)
    assert 0 < many - few < (6400 - 640) * 100 * 8
    assert many < 6400 * M * 8
