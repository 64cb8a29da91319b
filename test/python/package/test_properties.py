"""What holds of every matrix, for the functions that users call: sums of rows and
columns, permutations, transpositions, shifts, element types, batches."""

import functools

import numpy as np
import scaling
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

# Sizes are part of programs, numbers and batches are not: there is one shape, but
# where it has to be a square.
SHAPES = [(3, 5)]
DOMAINS = ["kernel", "log", "absorb"]
FIXED = functools.partial(scaling.project, half_steps=6)
numbers = st.floats(-8, 8, width=32)


@st.composite
def matrices(draw, shapes=SHAPES):
    """One matrix in a batch, or several."""
    batch = draw(st.sampled_from([(1,), (3,), (2, 2)]))
    return draw(
        arrays(np.float64, (*batch, *draw(st.sampled_from(shapes))), elements=numbers)
    )


def close(actual, expected, tolerance=1e-9):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@settings(max_examples=30, deadline=None)
@given(matrices(), st.sampled_from(DOMAINS), st.data())
def test_the_last_axis_has_its_sums(x, domain, data):
    """Of half-steps in turn, whichever axis came last."""
    order = data.draw(st.sampled_from(["rows_first", "cols_first"]))
    p = scaling.project(x, half_steps=6, order=order, domain=domain)
    assert np.all(p >= 0)
    close(p.sum(-2 if order == "rows_first" else -1), 1)


@settings(max_examples=20, deadline=None)
@given(matrices(), st.floats(0.05, 1), st.data())
def test_converged_plans_have_the_marginals(x, temperature, data):
    n, m = x.shape[-2:]
    weights = st.floats(0.1, 1)
    a = data.draw(arrays(np.float64, n, elements=weights))
    b = data.draw(arrays(np.float64, m, elements=weights))
    a, b = a / a.sum(), b / b.sum()
    how = dict(row_marginal=a, col_marginal=b, temperature=temperature)
    result = scaling.sinkhorn(x / 8, **how, tol=1e-9, max_half_steps=200_000)
    assert np.all(result.info.status == 1)
    p = scaling.plan(x / 8, result, temperature=temperature)
    close(p.sum(-1), np.broadcast_to(a, p.shape[:-1]), 1e-8)
    close(p.sum(-2), np.broadcast_to(b, (*p.shape[:-2], m)), 1e-8)


@settings(max_examples=30, deadline=None)
@given(matrices(), st.sampled_from(DOMAINS), st.data())
def test_permutations_and_transpositions(x, domain, data):
    n, m = x.shape[-2:]
    rows = np.array(data.draw(st.permutations(range(n))))
    cols = np.array(data.draw(st.permutations(range(m))))
    project = functools.partial(FIXED, domain=domain)
    p = project(x)
    permuted = x[..., rows, :][..., cols]
    close(project(permuted), p[..., rows, :][..., cols])
    flipped = project(np.swapaxes(x, -1, -2), order="cols_first")
    close(np.swapaxes(flipped, -1, -2), p)


@settings(max_examples=30, deadline=None)
@given(matrices(), numbers, st.floats(0.1, 10), st.data())
def test_shifts_and_temperatures(x, shift, temperature, data):
    """What is added to a row or a column is scaled away once both had their turn;
    a temperature divides; a cost is a logit of the other sign."""
    p = FIXED(x, temperature=temperature)
    close(FIXED(x / temperature), p)
    close(FIXED(-x, input="cost", temperature=temperature), p)
    column = data.draw(arrays(np.float64, (x.shape[-2], 1), elements=numbers))
    close(FIXED(x + shift + column, temperature=temperature), p, 1e-8)


@settings(max_examples=30, deadline=None)
@given(matrices(), st.sampled_from(["float32", "float16"]))
def test_element_types_and_batches(x, dtype):
    """A narrower type is that of storage; each problem is scaled by itself."""
    narrow = x.astype(dtype)
    p = FIXED(narrow)
    assert p.dtype == dtype and p.shape == x.shape
    close(p, FIXED(narrow.astype(np.float64)), 8 * np.finfo(dtype).eps * 16)
    each = [FIXED(one) for one in x.reshape(-1, *x.shape[-2:])]
    # Vector lanes are matrices of the batch, or columns of one.
    close(FIXED(x), np.reshape(each, x.shape), 1e-12)


@settings(max_examples=20, deadline=None)
@given(matrices([(4, 4)]), numbers, st.data())
def test_pullbacks_are_linear(x, factor, data):
    """And the gradient of what does not change with a row's shift is zero along it."""
    p, pullback = scaling.vjp(scaling.project, x, half_steps=6)
    one, other = (
        data.draw(arrays(np.float64, p.shape, elements=numbers)) for _ in range(2)
    )
    (first,), (second,) = pullback(one), pullback(other)
    (both,) = pullback(one + factor * other)
    scale = 1 + np.abs(first).max() + np.abs(factor * second).max()
    close(both / scale, (first + factor * second) / scale)
    close(first.sum(-1) / scale, 0)
