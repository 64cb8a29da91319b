"""Implicit and envelope derivatives on every route, against dense linear algebra."""

import subprocess
from dataclasses import dataclass

import numpy as np
import pytest
from findtool import find_tool
from programs import ROUTES, Call, Programs

N, M, BATCH = 6, 5, 3
TYPES = {
    "X": f"{BATCH}x{N}x{M}xf64", "a": f"{BATCH}x{N}xf64", "b": f"{M}xf64",
    "f": f"{BATCH}x{N}xf64", "g": f"{BATCH}x{M}xf64", "d": f"{BATCH}xf64",
}  # fmt: skip
ITERATE = """
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<{X}>)
      row_target(%a : tensor<{a}>) col_target(%b : tensor<{b}>)
      rows({rows}) cols({cols}) order({order}) stop(#scaling.stop<fixed {steps}>)
      numerics(#scaling.numerics<{domain}>)
"""
FACTORS = "  return %F, %G : tensor<{f}>, tensor<{g}>\n"
DUAL = """
  %zero = arith.constant dense<0.0> : tensor<{d}>
  %d = scaling.apply dual domain({domain}) matrix(%X : tensor<{X}>)
      row(%F : tensor<{f}>) col(%G : tensor<{g}>) row_weight(%a : tensor<{a}>)
      col_weight(%b : tensor<{b}>) outs(%zero : tensor<{d}>) -> tensor<{d}>
  return %d : tensor<{d}>
"""
PLAIN = "#scaling.rule<sum>"


@dataclass
class Gradient(Call):
    """`@f_vjp` of an iteration; what it returns besides gradients is `report`."""

    mode: str = "implicit"
    fields: dict | None = None

    def results(self):
        shapes = [(self.operands[k].shape, "", "f64") for k in ("X", "a", "b")]
        return shapes + [((BATCH,), "", "i32")] * (self.mode == "implicit")

    def element_of(self, keyword):
        return "f64"

    def text(self, name):
        fields = TYPES | self.fields
        dual = self.mode == "envelope"
        returned = ["d"] if dual else ["f", "g"]
        types = ", ".join(f"tensor<{TYPES[r]}>" for r in returned)
        body = (ITERATE + (DUAL if dual else FACTORS)).format(**fields)
        arguments = ", ".join(f"%{k}: tensor<{TYPES[k]}>" for k in ("X", "a", "b"))
        function = name.removesuffix("_vjp")
        done = subprocess.run(
            [find_tool("scaling-opt"), f"--scaling-differentiate=mode={self.mode}",
             "--mlir-print-local-scope"],
            input=f"func.func @{function}({arguments}) -> ({types}) {{{body}}}",
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip().removeprefix("module {").removesuffix("}")


def rng(seed):
    return np.random.default_rng(seed)


def problem(domain, mode, **fields):
    a, b = rng(1).uniform(0.5, 1.5, (BATCH, N)), rng(2).uniform(0.5, 1.5, M)
    a *= b.sum() / a.sum(-1, keepdims=True)
    x = rng(0).normal(size=(BATCH, N, M))
    operands = {"X": np.exp(x) if domain == "kernel" else x, "a": a, "b": b}
    if mode == "envelope":
        operands["w"] = rng(3).normal(size=BATCH)
    else:
        operands |= {
            "f": rng(3).normal(size=(BATCH, N)),
            "g": rng(4).normal(size=(BATCH, M)),
        }
    fields = {"rows": PLAIN, "cols": PLAIN, "order": "rows_first", "steps": 800,
              "domain": domain} | fields  # fmt: skip
    return Gradient("iterate", operands, "", mode=mode, fields=fields)


CASES = {
    "log": lambda: problem("log", "implicit"),
    "kernel": lambda: problem("kernel", "implicit", order="cols_first"),
    "damped": lambda: problem(
        "log", "implicit", rows="#scaling.rule<sum, tau = 0.75>",
        cols="#scaling.rule<sum, tau = 0.5, reference = product>",
    ),
    "short": lambda: problem("log", "implicit", steps=3),
    "dual": lambda: problem("log", "envelope"),
    "kernel dual": lambda: problem("kernel", "envelope"),
}  # fmt: skip


def factors(call, x, a, b, kappas, products):
    """Logarithms of the factors, by the recurrence."""
    f, g = np.zeros(N), np.zeros(M)
    turn = call.fields["order"] == "cols_first"
    for _ in range(call.fields["steps"]):
        t, k, p = ((a, b)[turn], kappas[turn], products[turn])
        other = f[:, None] if turn else g[None, :]
        new = np.log(t) * (1 + k * p) - np.log(np.exp(x + other).sum(0 if turn else 1))
        f, g = (f, new / (1 + k)) if turn else (new / (1 + k), g)
        turn = not turn
    return f, g


def dense(call):
    """The gradients by a dense system, element by element."""
    kernel = call.fields["domain"] == "kernel"
    # κ = (1 − τ)/τ, and whether the reference is the product.
    damped = call.fields["rows"] != PLAIN
    kappas, products = ((1 / 3, 1.0), (0, 1)) if damped else ((0, 0), (0, 0))
    x_bars, a_bars, b_bar = [], [], 0
    for i in range(BATCH):
        given, a, b = call.operands["X"][i], call.operands["a"][i], call.operands["b"]
        x = np.log(given) if kernel else given
        f, g = factors(call, x, a, b, kappas, products)
        p = np.exp(x + f[:, None] + g)
        if call.mode == "envelope":
            w = call.operands["w"][i]
            x_bar, y, z = -w * p, w * (f - np.log(a) - 1 + b.sum()), g - np.log(b) - 1
            a_bar, own = y, w * (z + a.sum())
        else:
            rows, cols = call.operands["f"][i], call.operands["g"][i]
            if kernel:
                rows, cols = rows * np.exp(f), cols * np.exp(g)
            matrix = np.block([
                [np.diag((1 + kappas[0]) * p.sum(1)), p],
                [p.T, np.diag((1 + kappas[1]) * p.sum(0))],
            ])  # fmt: skip
            y = np.linalg.pinv(matrix, rcond=1e-10) @ np.concatenate([rows, cols])
            y, z = y[:N], y[N:]
            x_bar = -p * (y[:, None] + z)
            a_bar = y * p.sum(1) / a * (1 + kappas[0] * products[0])
            own = z * p.sum(0) / b * (1 + kappas[1] * products[1])
        x_bars.append(x_bar / given if kernel else x_bar)
        a_bars.append(a_bar)
        b_bar = b_bar + own
    return [np.array(x_bars), np.array(a_bars), b_bar]


@pytest.fixture(scope="module")
def programs():
    calls = {f"{name.replace(' ', '_')}_vjp": make() for name, make in CASES.items()}
    return {route: Programs(route, calls, level=0) for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", CASES)
def test_against_a_dense_system(programs, route, name):
    found = programs[route](f"{name.replace(' ', '_')}_vjp")
    call = programs[route].calls[f"{name.replace(' ', '_')}_vjp"]
    if call.mode == "implicit":
        *found, report = found
        # Three half-steps are not enough, and it says so.
        np.testing.assert_array_equal(report, 0 if name == "short" else 1)
    if name == "short":
        assert all(np.isfinite(gradient).all() for gradient in found)
        return
    for got, want in zip(found, dense(call), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10)
