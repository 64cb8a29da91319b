"""apply, pairwise, normalize, balance and attention against the reference."""

import functools
import inspect
import warnings

import numpy as np
import pytest
import scaling
import scaling_reference as sr
from scaling._operands import FORM, NUMERICS, RULES
from scaling.presets import ATTRIBUTES
from scaling_reference.presets import PRESET_SPECS, run_preset


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scaling.ConvergenceWarning)
        yield


def close(actual, expected, tolerance=1e-9):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def random(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("solve", [False, True])
def test_apply(batch, solve):
    cost = abs(random((*batch, 6, 5)))
    result = scaling.sinkhorn(cost, temperature=0.5, tol=1e-9)
    p = scaling.plan(cost, result, temperature=0.5)
    options = dict(temperature=0.5) | (dict(tol=1e-9) if solve else dict(f=result))
    v, w = random((*batch, 5, 3), 1), random((*batch, 6, 2), 2)
    close(scaling.apply(cost, v, **options), p @ v)
    close(
        scaling.apply(cost, w, transposed=True, **options), np.swapaxes(p, -1, -2) @ w
    )
    close(scaling.apply(cost, kind="value", **options), (p * cost).sum((-2, -1)))
    close(scaling.apply(cost, kind="mass", **options), p.sum((-2, -1)))
    (largest, column), info = scaling.apply(
        cost, kind="argmax", return_info=True, **options
    )
    close(largest, p.max(-1))
    np.testing.assert_array_equal(column, p.argmax(-1))
    np.testing.assert_array_equal(info.half_steps, result.info.half_steps)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "l1", "dot", "cosine"])
def test_pairwise(metric):
    x, y = random((2, 7, 3)), random((5, 3), 1)
    close(scaling.pairwise(x, y, metric), sr.pairwise(x, y, metric))


@pytest.mark.parametrize("axis", ["rows", "cols"])
def test_normalize(axis):
    logits = random((3, 6, 5))
    close(scaling.normalize(logits, axis), sr.softmax(logits, axis))
    close(
        scaling.normalize(logits, axis, temperature=0.3), sr.softmax(logits / 0.3, axis)
    )
    target = abs(random(6 if axis == "rows" else 5)) + 1
    keep = np.arange(5 if axis == "rows" else 6) % 3 > 0
    masks = {"col_mask" if axis == "rows" else "row_mask": keep}
    rule = scaling.Rule("l2", guard=("add_plan", 0.01))
    close(
        scaling.normalize(
            logits, axis, input="kernel", target=target, mask=keep, rule=rule
        ),
        sr.normalize(
            logits,
            axis,
            sr.Rule("l2", guard=("add_plan", 0.01)),
            target=target,
            **masks,
        ),
    )


@pytest.mark.parametrize(
    "name", [n for n, spec in PRESET_SPECS.items() if spec["op"] == "balance"]
)
def test_every_preset_of_balance(name):
    matrix = np.exp(random((6, 6)))
    result = scaling.balance(matrix, preset=name)
    expected = run_preset(name, matrix)
    close(result.row_scale, expected.row)
    close(result.col_scale, expected.col)
    close(result.matrix, expected.row[:, None] * matrix * expected.col)
    assert result.info.half_steps == expected.half_steps
    assert result.info.status == expected.status


def test_balance_without_a_preset():
    matrix = random((4, 5, 5))
    result = scaling.balance(matrix, rows="l2", cols="l2", tol=1e-8)
    assert result.info.converged
    close(np.sqrt((result.matrix**2).sum(-1)), np.ones((4, 5)), 1e-7)
    close(np.sqrt((result.matrix**2).sum(-2)), np.ones((4, 5)), 1e-7)


@pytest.mark.parametrize("name", ["mhc", "sinkformer", "swav", "pot_log"])
def test_a_preset_of_one_half_step(name):
    logits = random((3, 6, 5))
    first = {"rows_first": "rows", "cols_first": "cols"}[ATTRIBUTES[name]["order"]]
    close(
        scaling.normalize(logits, first, preset=name, temperature=0.7),
        scaling.project(logits, preset=name, temperature=0.7, half_steps=1),
    )


def test_similarity_balance():
    matrix = random((3, 5, 5)) * 10.0 ** np.arange(-4, 6, 2)[:, None]
    result = scaling.balance(matrix, preset="gebal")
    expected = sr.similarity_balance(matrix)
    close(result.matrix, expected.matrix)
    close(result.col_scale, expected.scale)
    close(result.row_scale[..., None] * matrix * result.col_scale[..., None, :],
          expected.matrix)  # fmt: skip
    with pytest.raises(ValueError, match="square"):
        scaling.balance(random((2, 3)), preset="gebal")
    with pytest.raises(ValueError, match="half_steps: the preset 'gebal'"):
        scaling.balance(matrix, preset="gebal", half_steps=4)
    with pytest.raises(ValueError, match="max_half_steps: 0"):
        scaling.balance(matrix, preset="gebal", max_half_steps=0)
    with pytest.warns(scaling.ConvergenceWarning, match="3 problems$") as caught:
        result = scaling.balance(matrix, preset="gebal", max_half_steps=1)
    assert caught[0].filename == __file__
    assert result.info.half_steps.tolist() == [1, 1, 1]
    close(sr.similarity_balance(result.matrix).matrix, expected.matrix)


def test_attention():
    q, k, v = random((2, 3, 6, 4)), random((2, 3, 5, 4), 1), random((2, 3, 5, 7), 2)
    output, info = scaling.attention(q, k, v, return_info=True)
    close(output, sr.attention(q, k, v).output)
    assert np.all(info.half_steps == 3) and info.status.shape == (2, 3)
    softmax = sr.softmax(q @ np.swapaxes(k, -1, -2) / 2)
    close(
        scaling.attention(q, k, v, half_steps=1, rows="sum", scale="one"), softmax @ v
    )
    bias, keep = random((6, 5), 3), np.array([True, True, False, True, True])
    close(
        scaling.attention(
            q, k, v, bias, col_mask=keep, temperature=0.5, logit_scale=0.3, half_steps=7
        ),
        sr.attention(
            q, k, v, bias, col_mask=keep, scale=0.3, stop=sr.fixed(7),
            form=sr.Form(epsilon=0.5, scale="cols"),
        ).output,
    )  # fmt: skip
    close(
        scaling.attention(q, k, v, entry_eps=0.1, domain="kernel"),
        sr.attention(
            q, k, v, form=sr.Form(entry_eps=0.1, scale="cols"), domain="kernel"
        ).output,
    )
    close(
        scaling.attention(q, k, v, anneal=[4.0, 1.0], half_steps=4),
        sr.attention(
            q, k, v, form=sr.Form(anneal=(4.0, 1.0), scale="cols"), stop=sr.fixed(4)
        ).output,
    )


#: What a function has no argument for: its op refuses it, or has no such thing.
LACKS = {
    "sinkhorn": {"standardize", "entry_eps", "output", "scale"},
    "plan": {"standardize", "entry_eps", "scale"},
    "apply": {"standardize", "entry_eps", "output", "scale"},
    "project": set(),
    "attention": {"input", "standardize", "output"},
    "normalize": {"start", "anneal", "extrapolate"},
    "balance": {"input", *FORM, "domain"},
}


@pytest.mark.parametrize("name", LACKS)
def test_every_attribute_is_a_keyword(name):
    rules = ("rule",) if name == "normalize" else RULES
    every = {"preset", "input", *FORM, *rules, *NUMERICS}
    parameters = set(inspect.signature(getattr(scaling, name)).parameters)
    assert every - parameters == LACKS[name]


@pytest.mark.parametrize("name", LACKS)
def test_products_of_points(name):
    """Nothing is rounded on a CPU."""
    x = random((6, 32))
    args = (x, x, x) if name == "attention" else (x,)
    if name == "apply":
        args = (x, random((32, 2)))
    function = functools.partial(getattr(scaling, name), *args)
    how = {} if name == "normalize" else {"half_steps": 3}

    def arrays(result):
        if isinstance(result, np.ndarray):
            return [result]
        return [result.f, result.g] if name == "sinkhorn" else [result.matrix]

    for word in ("tf32", "bf16", "f16"):
        for got, want in zip(
            arrays(function(products=word, **how)), arrays(function(**how))
        ):
            np.testing.assert_array_equal(got, want)
    with pytest.raises(ValueError, match="products: 'f64' was given, allowed are"):
        function(products="f64")
    with pytest.raises(ValueError, match="products: 'tf32' .* with strict"):
        function(products="tf32", strict=True)
