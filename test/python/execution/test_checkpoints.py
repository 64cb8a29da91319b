"""Where derivatives keep what they need: segments of an iteration, lanes."""

import re
import subprocess
from dataclasses import dataclass, replace

import numpy as np
import pytest
from findtool import find_tool
from programs import ROUTES, Call, Programs

RNG = np.random.default_rng(0)
N, M = 4, 3


@dataclass
class Gradient(Call):
    """The gradients of a call's first results; `options` are the pass'."""

    options: str = ""
    base: Call | None = None

    @staticmethod
    def of(base, options=""):
        shapes = [s for s, _, element in base.results() if element == "f64"]
        rng = np.random.default_rng(len(base.attributes))
        weights = {f"w{i}": rng.normal(size=shape) for i, shape in enumerate(shapes)}
        # Residuals have no derivative.
        weights[f"w{len(shapes) - 1}"][...] = 0
        return Gradient(base.op, base.operands | weights, base.attributes,
                        dims=base.dims, options=options, base=base)  # fmt: skip

    def results(self):
        return [
            (np.shape(v), self.base.tail(k), "f64")
            for k, v in self.base.operands.items()
        ]

    def text(self, name):
        function = self.base.text(name.removesuffix("_vjp"))
        done = subprocess.run(
            [find_tool("scaling-opt"), f"--scaling-differentiate={self.options}",
             "--mlir-print-local-scope"],
            input=function, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{function}\n{done.stderr[-3000:]}"
        return done.stdout.strip().removeprefix("module {").removesuffix("}")


def marginals(batch, size):
    a = RNG.uniform(0.5, 1.5, (*batch, size))
    return a / a.sum(-1, keepdims=True)


def sinkhorn(batch, attributes, shared=True, dims="static"):
    return Call("sinkhorn", {
        "cost": RNG.uniform(0, 1, (*batch, N, M)),
        "row_marginal": marginals(() if shared else batch, N),
        "col_marginal": marginals(batch, M),
    }, f"form(#scaling.form<cost, epsilon = 0.3>) {attributes}", dims=dims)  # fmt: skip


def balance(batch, attributes, dims="static"):
    return Call(
        "balance", {"matrix": RNG.uniform(0.5, 1.5, (*batch, N, M))},
        f"rows(#scaling.rule<l1>) cols(#scaling.rule<l2>) {attributes}", dims=dims,
    )  # fmt: skip


LOG = "numerics(#scaling.numerics<log>)"
CALLS = {
    "matrix": sinkhorn((), f"stop(#scaling.stop<fixed 21>) {LOG}"),
    "cols": sinkhorn((), f"order(cols_first) stop(#scaling.stop<fixed 70>) {LOG}"),
    "until": sinkhorn((3,), f"stop(#scaling.stop<until 1.0e-9, limit = 200>) {LOG}"),
    "endless": sinkhorn((3,), f"stop(#scaling.stop<until 1.0e-9, limit = 2000000>) {LOG}"),  # noqa: E501
    "jacobi": balance((), "order(jacobi) stop(#scaling.stop<fixed 12>)"),
    "none": balance((5,), "stop(#scaling.stop<fixed 0>)"),
    # In lanes on a CPU: fewer and more elements than lanes, also unknown ones.
    "two": sinkhorn((2,), f"stop(#scaling.stop<fixed 21>) {LOG}"),
    "many": sinkhorn((37,), f"order(cols_first) stop(#scaling.stop<fixed 80>) {LOG}"),
    "shared": balance((19,), "stop(#scaling.stop<fixed 9>)"),
    "open": balance((21,), "stop(#scaling.stop<fixed 10>)", dims="batch"),
    "plan": Call("project", {"logits": RNG.normal(size=(33, N, N))},
                 "preset(mhc) stop(#scaling.stop<fixed 15>)"),
}  # fmt: skip
VARIANTS = {
    "": "",
    "one": "checkpoints=1",
    "three": "checkpoints=3",
    "each": "checkpoints=1000",
}  # noqa: E501


def functions(route):
    """On the portable route all is kept; it is what others are compared with."""
    variants = {"": "checkpoints=1"} if route == "linalg" else VARIANTS
    return {
        f"{name}{variant}_vjp": Gradient.of(call, options)
        for name, call in CALLS.items()
        for variant, options in variants.items()
    }


@pytest.fixture(scope="module")
def gradients():
    return {route: Programs(route, functions(route), level=0) for route in ROUTES}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", CALLS)
def test_segments(gradients, name, variant):
    expected = gradients["linalg"](f"{name}_vjp")
    found = gradients["cpu"](f"{name}{variant}_vjp")
    for is_, should in zip(found, expected, strict=True):
        np.testing.assert_allclose(is_, should, rtol=1e-9, atol=1e-12)
    assert name == "none" or any(np.any(g) for g in expected)


def test_diverged_neighbour(gradients):
    """In lanes too, what diverges leaves the gradients of the others alone."""
    call = gradients["cpu"].calls["shared_vjp"]
    matrix = call.operands["matrix"].copy()
    matrix[7, 1, 2] = np.inf
    spoilt = replace(call, operands=call.operands | {"matrix": matrix})
    (should,) = gradients["cpu"]("shared_vjp")
    (found,) = gradients["cpu"].call("shared_vjp", spoilt)
    others = np.arange(19) != 7
    np.testing.assert_array_equal(found[others], should[others])
    assert np.all(found[7] == 0)


def kept_bytes(steps, options=""):
    """Of everything a gradient with respect to marginals allocates."""
    program = f"""
      func.func @f(%c: tensor<64x64xf64>, %a: tensor<64xf64>) -> tensor<64xf64> {{
        %r:5 = scaling.sinkhorn cost(%c : tensor<64x64xf64>) row_marginal(%a : tensor<64xf64>)
            stop(#scaling.stop<{steps}>) {LOG}
        return %r#1 : tensor<64xf64>
      }}"""
    done = subprocess.run(
        [find_tool("scaling-opt"), f"--scaling-differentiate=wrt=1 {options}",
         "--scaling-to-linalg", "--scaling-bufferize"],
        input=program, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    vjp = done.stdout[done.stdout.index("@f_vjp") :]
    sizes = re.findall(r"memref\.alloca?\(\).* : memref<(.*?)>", vjp)
    found = 0
    for size in sizes:
        *dims, element = size.split(",")[0].split("x")
        found += int(np.prod([int(d) for d in dims])) * int(element[1:]) // 8
    return found


@pytest.mark.parametrize("stop", ["fixed {}", "until 1.0e-6, limit = {}"])
def test_root_of_the_steps(stop):
    first, second, third = (kept_bytes(stop.format(2 * 4**i * 100)) for i in range(3))
    # Four times the half-steps, twice the vectors.
    assert 1.9 < (third - second) / (second - first) < 2.1
    assert third < kept_bytes(stop.format(3200), "checkpoints=1") / 8
