"""--scaling-raise on what JAX exports: StableHLO, which IREE's compiler makes
linalg of. One op each, with JAX's results."""

import re
import subprocess

import numpy as np
import pytest
from findtool import find_tool, need_module

for module in ("jax", "iree.compiler"):
    need_module(module)

import iree.compiler.tools.binaries
import jax
import jax.numpy as jnp
from jax.nn import logsumexp


def sums(p, axis, guard=0.0):
    return p.sum(axis, keepdims=True) + guard


def repeat(count, step, start):
    return jax.lax.fori_loop(0, count, lambda i, value: step(value), start)


def gumbel(z):
    def step(z):
        z = z - logsumexp(z, -1, keepdims=True)
        return z - logsumexp(z, -2, keepdims=True)

    return jnp.exp(repeat(20, step, z))


def gumbel_unrolled(z):
    for _ in range(3):
        z = z - logsumexp(z, -1, keepdims=True)
        z = z - logsumexp(z, -2, keepdims=True)
    return jnp.exp(z)


def potentials(z):
    def step(pair):
        f = -logsumexp(z + pair[1][..., None, :], -1)
        return f, -logsumexp(z + f[..., None], -2)

    f, g = repeat(20, step, (jnp.zeros_like(z[..., 0]), jnp.zeros_like(z[..., 0, :])))
    return jnp.exp(z + f[..., None] + g[..., None, :])


def mhc(z):
    p = jax.nn.softmax(z, -1) + 1e-6
    p = p / sums(p, -2, 1e-6)

    def step(p):
        p = p / sums(p, -1, 1e-6)
        return p / sums(p, -2, 1e-6)

    return repeat(19, step, p)


def mhc_clamp(z):
    def step(p):
        p = p / jnp.maximum(sums(p, -1), 1e-6)
        return p / jnp.maximum(sums(p, -2), 1e-6)

    return repeat(20, step, jnp.exp(z - z.max(-1, keepdims=True)))


def swav(scores):
    q = jnp.exp(scores / 0.05).T
    prototypes, samples = q.shape

    def step(q):
        q = q / sums(q, 1) / prototypes
        return q / sums(q, 0) / samples

    return (repeat(3, step, q / q.sum()) * samples).T


def transport(cost, a, b):
    k = jnp.exp(-cost / 0.1)

    def step(pair):
        v = b / (k.T @ pair[0])
        return a / (k @ v), v

    u, v = repeat(10, step, (jnp.ones_like(a) / len(a), jnp.ones_like(b)))
    return u[:, None] * k * v


def sinkformer(query, key, value):
    z = jnp.einsum("bnd,bmd->bnm", query, key) / query.shape[-1] ** 0.5
    for axis in (-1, -2, -1):
        z = z - logsumexp(z, axis, keepdims=True) - np.log(z.shape[axis])
    return jnp.einsum("bnm,bmd->bnd", jnp.exp(z) * z.shape[-1], value)


def until(error, returned=slice(2)):
    """Pairs until an error, of both potentials before and after, is small."""

    def transport(cost, a, b):
        def go_on(state):
            return (state[2] > 1e-3) & (state[3] < 100)

        def step(state):
            g = state[1]
            f = 0.1 * (jnp.log(a) - logsumexp((g[None, :] - cost) / 0.1, 1))
            g = 0.1 * (jnp.log(b) - logsumexp((f[:, None] - cost) / 0.1, 0))
            plan = jnp.exp((f[:, None] + g[None, :] - cost) / 0.1)
            return f, g, error(plan, a, f - state[0], g - state[1]), state[3] + 1

        start = jnp.zeros_like(a), jnp.zeros_like(b), jnp.inf, 0
        return jax.lax.while_loop(go_on, step, start)[returned]

    return transport


until_rows = until(lambda plan, a, df, dg: jnp.abs(plan.sum(1) - a).sum())
until_unchanged = until(lambda plan, a, df, dg: jnp.abs(dg).max())


def until_matrix(z):
    def go_on(state):
        return (jnp.abs(state[0].sum(1) - 1).max() > 1e-4) & (state[1] < 50)

    def step(state):
        p = state[0] / sums(state[0], 1)
        return p / sums(p, 0), state[1] + 1

    return jax.lax.while_loop(go_on, step, (jnp.exp(z), 0))[0]


def factors(cost, a, b):
    """Scaling vectors from a kernel: what POT's and OTT's loops carry."""
    k = jnp.exp(-cost / 0.1)

    def step(pair):
        u = a / (k @ pair[1])
        return u, b / (k.T @ u)

    return repeat(10, step, (jnp.ones_like(a), jnp.ones_like(b)))


def until_factors(cost, a, b):
    """The 2-norm of the columns' error, as POT measures it; from 1/n and 1/m."""
    k = jnp.exp(-cost / 0.5)

    def step(state):
        v = b / (k.T @ state[0])
        u = a / (k @ v)
        error = jnp.linalg.norm(jnp.einsum("i,ij,j->j", u, k, v) - b)
        return u, v, error, state[3] + 1

    start = jnp.ones_like(a) / len(a), jnp.ones_like(b) / len(b), 1.0, 0
    return jax.lax.while_loop(
        lambda state: (state[2] > 1e-4) & (state[3] < 50), step, start
    )[:2]


until_each = jax.vmap(until_rows)
until_each_factor = jax.vmap(until_factors)
until_each_matrix = jax.vmap(until_matrix)


def sinq(matrix):
    """Eight rounds, in a loop; no gate."""

    def deviations(x):
        return [x.std(axis, ddof=1, keepdims=True) for axis in (1, 0)]

    def measure(x):
        rows, cols = deviations(x)
        least = jnp.maximum(jnp.minimum(rows.min(), cols.min()), 1e-12)
        return jnp.maximum(rows.max(), cols.max()) / least

    clip = lambda x: jnp.clip(x, 1e-3, 1e3)
    rows, cols = deviations(matrix)
    target = jnp.minimum(clip(rows).min(), clip(cols).min()) + 1e-6

    def step(state):
        rows, cols = state[0]
        deviation = deviations(matrix / jnp.exp(rows) / jnp.exp(cols))
        now = [
            jnp.clip(x + jnp.log(jnp.clip(clip(d) / target, 0.7, 2)), -0.3, 10)
            for x, d in zip((rows, cols), deviation)
        ]
        error = measure(matrix / jnp.exp(now[0]) / jnp.exp(now[1]))
        kept = [jnp.where(error <= state[2], x, y) for x, y in zip(now, state[1])]
        return now, kept, jnp.minimum(error, state[2])

    zeros = [jnp.zeros_like(rows), jnp.zeros_like(cols)]
    _, (rows, cols), _ = repeat(8, step, (zeros, zeros, measure(matrix)))
    return matrix / jnp.exp(rows) / jnp.exp(cols)


def until_all(cost, a, b):
    """The worst of the batch stops all of it."""

    def step(state):
        f = jnp.log(a) - logsumexp(state[1][:, None, :] - cost, 2)
        g = jnp.log(b) - logsumexp(f[:, :, None] - cost, 1)
        plan = jnp.exp(f[:, :, None] + g[:, None, :] - cost)
        return f, g, jnp.abs(plan.sum(2) - a).sum(1).max(), state[3] + 1

    return jax.lax.while_loop(
        lambda state: (state[2] > 1e-3) & (state[3] < 100),
        step,
        (jnp.zeros_like(a), jnp.zeros_like(b), jnp.inf, 0),
    )[:2]


def one_softmax(z):
    return jax.nn.softmax(z, -1)


def another_guard(z):
    p = jnp.exp(z)
    for axis, guard in ((-1, 1e-6), (-2, 1e-5), (-1, 1e-6)):
        p = p / sums(p, axis, guard)
    return p


def all_of_them(z):
    p, matrices = jnp.exp(z), []
    for axis in (-1, -2, -1):
        p = p / sums(p, axis)
        matrices.append(p)
    return jnp.stack(matrices)


def to_linalg(function, arguments):
    """What iree-compile makes of the StableHLO that JAX exports."""
    text = jax.export.export(jax.jit(function))(*arguments).mlir_module()
    done = subprocess.run(
        [iree.compiler.tools.binaries.find_tool("iree-compile"), "-", "-o", "-"]
        + ["--iree-input-type=stablehlo", "--compile-to=input"],
        input=text,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # All that is IREE's own in it.
    text = done.stdout.replace("util.func public", "func.func")
    return text.replace("util.return", "return")


def raise_text(text):
    done = subprocess.run(
        [find_tool("scaling-opt"), "-", "--scaling-raise=explain=true domain=log"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, re.findall(r"remark: (.*)", done.stderr)


def random(*shape):
    rng = np.random.default_rng(len(shape) + shape[0])
    return rng.normal(size=shape).astype(np.float32)


PROGRAMS = {
    "gumbel": ([(3, 8, 8)], "40 half-steps, preset mhc_log"),
    "gumbel_unrolled": ([(3, 8, 8)], "6 half-steps"),
    "potentials": ([(3, 8, 6)], "40 half-steps, preset mhc_log"),
    "mhc": ([(7, 4, 4)], "39 half-steps, preset mhc"),
    "mhc_clamp": ([(7, 4, 4)], "40 half-steps, preset mhc_clamp"),
    "swav": ([(32, 20)], "6 half-steps, preset swav"),
    "transport": ([(6, 9), (6,), (9,)], "20 half-steps"),
    "until_rows": ([(6, 9), (6,), (9,)], "at most 200 half-steps"),
    "until_unchanged": ([(6, 9), (6,), (9,)], "at most 200 half-steps"),
    "until_matrix": ([(6, 6)], "at most 100 half-steps"),
    "factors": ([(6, 9), (6,), (9,)], "20 half-steps"),
    "until_factors": ([(6, 9), (6,), (9,)], "at most 100 half-steps"),
    "until_each": ([(3, 6, 9), (3, 6), (3, 9)], "at most 200 half-steps"),
    "until_each_factor": ([(3, 6, 9), (3, 6), (3, 9)], "at most 100 half-steps"),
    "until_each_matrix": ([(3, 6, 6)], "at most 100 half-steps"),
    "sinq": ([(12, 9)], "the best of 18 half-steps"),
    "sinkformer": ([(2, 16, 8)] * 2 + [(2, 16, 4)], "3 half-steps, preset sinkformer"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(tmp_path, name):
    shapes, found = PROGRAMS[name]
    function, inputs = globals()[name], [random(*shape) for shape in shapes]
    if len(inputs) == 3 and name != "sinkformer":
        inputs = [np.abs(x) / np.abs(x).sum(-1, keepdims=True) for x in inputs]
    elif name == "swav":
        inputs = [0.1 * x for x in inputs]
    text, remarks = raise_text(to_linalg(function, inputs))
    op = {
        "sinkformer": "attention",
        "until_rows": "sinkhorn",
        "until_unchanged": "sinkhorn",
        "until_each": "sinkhorn",
        "factors": "balance",
        "until_factors": "balance",
        "until_each_factor": "balance",
        "sinq": "balance",
    }.get(name, "project")
    assert remarks == [f"raised to 'scaling.{op}': {found}"]
    # The kernel, and what makes up for other starts, are no part of an op.
    assert ("linalg." not in text or "factor" in name) and "scf." not in text
    (tmp_path / "program.mlir").write_text(text)
    expected = jax.jit(function)(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for i, x in enumerate(inputs):
        np.save(tmp_path / f"in{i}.npy", x)
    subprocess.run(
        [find_tool("scaling-run"), tmp_path / "program.mlir", "--entry=main"]
        + [f"--input={tmp_path}/in{i}.npy" for i in range(len(inputs))]
        + [f"--output={tmp_path}/out{i}.npy" for i in range(len(expected))],
        check=True,
        timeout=120,
    )
    for i, values in enumerate(expected):
        np.testing.assert_allclose(
            np.load(tmp_path / f"out{i}.npy"), values, rtol=3e-6, atol=3e-6
        )


def check_not_raised(function, inputs):
    text, remarks = raise_text(to_linalg(function, inputs))
    assert " = scaling." not in text
    assert not [remark for remark in remarks if remark.startswith("raised")]
    return remarks


@pytest.mark.parametrize("function", [one_softmax, another_guard, all_of_them])
def test_near_misses(function):
    check_not_raised(function, [random(3, 4, 4)])


@pytest.mark.parametrize(
    "error, returned, reason",
    [
        (lambda plan, a, df, dg: jnp.abs(df).max(), slice(2), "another measure"),
        (lambda plan, a, df, dg: jnp.abs(plan - 1).max(), slice(2), "another measure"),
        (lambda plan, a, df, dg: jnp.abs(dg).max(), slice(4), "other results"),
    ],
)
def test_other_loops(error, returned, reason):
    inputs = [random(6, 9), random(6), random(9)]
    remarks = check_not_raised(until(error, returned), inputs)
    assert reason in remarks[0]


def test_a_whole_batch():
    inputs = [random(3, 6, 9), random(3, 6), random(3, 9)]
    remarks = check_not_raised(until_all, inputs)
    assert "stops for a whole batch at once" in remarks[0]
