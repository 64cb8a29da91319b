"""Tiny matrices side by side: every size, batches that fill no whole number of
vectors, element types, masks and marginals, against the reference."""

import assembly
import numpy as np
import pytest
import scaling_reference as sr
from programs import FULL, ROUNDING, Call, Programs, rounded

SIZES = (1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 32)
BATCHES = (0, 1, 15, 16, 17, 33, 65, 1000)
PAIRS = [
    (n, m) for n in SIZES for m in SIZES if FULL or (3 * n + 5 * m) % 7 < 2 or n == m
]


def projection(n, m, batch, element="f32", dims="static", masked=False, kernel=False):
    rng = np.random.default_rng(97 * n + m)
    form = sr.Form(map="identity") if kernel else sr.Form()
    kind = "kernel" if kernel else "logits"
    matrix = rng.normal(size=(batch, n, m))
    given = {kind: np.exp(matrix) if kernel else matrix}
    if masked:
        given["row_marginal"] = rng.uniform(0.5, 1.5, n) / n
        given["col_marginal"] = rng.uniform(0.5, 1.5, (batch, m)) / m
        given["row_mask"] = np.arange(n) != 1
        given["col_mask"] = rng.uniform(size=(batch, m)) < 0.7
        given["col_mask"][:, 0] = True
    stop = sr.until(tol=1e-4, limit=12) if masked else sr.fixed(7)
    options = dict(rows=sr.Rule(), cols=sr.Rule(), order="cols_first")
    text = assembly.attributes(
        domain="kernel", stop_at=stop, enters=form, kind=kind, **options
    )
    given = {k: v if v.dtype == bool else rounded(v, element) for k, v in given.items()}
    call = Call("project", given, text, element, dims=dims)
    return call, dict(form=form, kind=kind, domain="kernel", stop=stop, **options)


def reference(call, options):
    given = dict(call.operands)
    matrix = given.pop(options["kind"])
    renamed = {
        k.replace("marginal", "target"): v for k, v in given.items()
    }  # fmt: skip
    return sr.project(matrix, **renamed, **options)


CASES = {f"size_{n}_{m}": projection(n, m, 18) for n, m in PAIRS}
CASES |= {f"batch_{b}": projection(3, 5, b) for b in BATCHES}
CASES |= {
    f"type_{t}_{kernel}": projection(4, 6, 19, t, kernel=kernel)
    for t in ("f64", "f32", "bf16", "f16")
    for kernel in (False, True)
}
CASES |= {
    f"masked_{n}_{t}": projection(n, 6, 21, t, masked=True)
    for n in (4, 16)
    for t in ("f32", "f64", "bf16")
}
#: Of any batch size.
CASES["dynamic"] = projection(3, 5, 40, dims="batch")
CASES["dynamic_masked"] = projection(6, 4, 40, dims="batch", masked=True)


class Hidden(Call):
    """A call whose matrix' rows are known from another operand only."""

    def text(self, name):
        text = super().text(name)
        shown = "x".join(map(str, np.shape(self.operands["logits"])))
        batch, _, columns = shown.split("x")
        for before in ("%logits: ", "%logits : "):
            text = text.replace(
                f"{before}tensor<{shown}x", f"{before}tensor<{batch}x?x{columns}x"
            )
        return text


def hidden():
    call, options = projection(6, 4, 19, masked=True)
    return Hidden(call.op, call.operands, call.attributes, call.element), options


CASES["hidden"] = hidden()
#: Static sizes of nothing.
CASES["no_rows"] = projection(0, 5, 20)
CASES["no_columns"] = projection(5, 0, 20)


@pytest.fixture(scope="session")
def route():
    """The portable way has no lanes."""
    return "cpu"


@pytest.fixture(scope="session")
def programs(route):
    return Programs(route, {name: call for name, (call, _) in CASES.items()})


def close(actual, expected, bound):
    scale = np.max(np.abs(expected), initial=0.0)
    np.testing.assert_allclose(actual, expected, rtol=bound, atol=bound * scale)


def check(results, call, options):
    plan, steps, residual, status = results
    if plan.size == 0:
        return
    bound = 1e-12 if call.element == "f64" else 2e-5
    extra = 0 if call.element == "f64" else 2 * ROUNDING[call.element]
    expected = reference(call, options)
    if call.element != "f64" and options["stop"].mode == "until":
        assert np.all(np.abs(steps - expected.half_steps) <= 2)
        for count in set(steps):
            # Each against the reference at the count it came to.
            fixed = reference(call, options | {"stop": sr.fixed(int(count))})
            here = steps == count
            close(plan[here], fixed.plan[here], bound + extra)
        return
    np.testing.assert_array_equal(steps, expected.half_steps)
    np.testing.assert_array_equal(status, expected.status)
    np.testing.assert_allclose(residual, expected.residual, rtol=bound, atol=bound)
    close(plan, expected.plan, bound + extra)


@pytest.mark.parametrize("name", CASES)
def test_lanes(programs, name):
    check(programs(name), *CASES[name])


@pytest.mark.parametrize("masked", (False, True))
@pytest.mark.parametrize("batch", BATCHES)
def test_dynamic_batch(programs, batch, masked):
    sizes = (6, 4) if masked else (3, 5)
    call, options = projection(*sizes, batch, dims="batch", masked=masked)
    name = "dynamic_masked" if masked else "dynamic"
    check(programs.call(name, call), call, options)
