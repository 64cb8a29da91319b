"""Clouds of points and attention under every schedule, against the reference."""

import subprocess

import numpy as np
import pytest
import scaling_reference as sr
from findtool import find_tool

from programs import load, rounded, store

SIZES = [1, 2, 3, 5, 7, 17, 31, 33, 63, 65, 100]
METRICS = ["sqeuclidean", "euclidean", "l1", "dot", "cosine"]
DEPTHS = [1, 2, 3, 5, 16, 64, 65]
SCHEDULES = [
    None,
    "#scaling.schedule<cloud, row_block = 8, matrix = recomputed>",
    "#scaling.schedule<streaming, row_block = 8, matrix = stored>",
    "#scaling.schedule<resident>",
]
ANNEAL = (4.0, 4.0, 1.0, 0.25, 0.1)
HALF_STEPS = 2 * len(ANNEAL) + 2
#: Largest error of a potential over the largest cost.
TOLERANCE = {"f64": 1e-12, "f32": 2e-6, "bf16": 2e-6}


def call(folder, route, text, inputs, elements):
    """Results of the only function of a program."""
    program = folder / "program.mlir"
    program.write_text(text)
    command = [find_tool("scaling-run"), program, f"--pipeline={route}"]
    for i, value in enumerate(inputs):
        np.save(folder / f"in{i}.npy", value)
        command += ["--input", folder / f"in{i}.npy"]
    outputs = [folder / f"out{i}.npy" for i in range(len(elements))]
    for output in outputs:
        command += ["--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{text}\n{done.stderr[-3000:]}"
    return [load(np.load(o), e) for o, e in zip(outputs, elements)]


def cloud_text(metric, n, m, d, element, schedule, masked, stop, order, anneal):
    acc = "f64" if element == "f64" else "f32"
    attribute = f" {{scaling.schedule = {schedule}}}" if schedule else ""
    masks = (
        f" row_mask(%rm : tensor<{n}xi1>) col_mask(%cm : tensor<{m}xi1>)"
        if masked
        else ""
    )
    arguments = f", %rm: tensor<{n}xi1>, %cm: tensor<{m}xi1>" if masked else ""
    form = (
        f"#scaling.form<cost, start = targets, anneal = {list(ANNEAL)}, extrapolate>"
        if anneal
        else "#scaling.form<cost, epsilon = 0.5>"
    )
    rule = "#scaling.rule<sum, target = uniform" + (
        ", reference = product, omega = 0.5>" if order == "jacobi" else ">"
    )
    x, y = (f"tensor<{s}x{d}x{element}>" for s in (n, m))
    c = f"tensor<{n}x{m}x{acc}>"
    f, g = f"tensor<{n}x{acc}>", f"tensor<{m}x{acc}>"
    return f"""
func.func @cloud(%x: {x}, %y: {y}{arguments}) -> ({f}, {g}, tensor<i32>, tensor<{acc}>, tensor<i32>) {{
  %e = tensor.empty() : {c}
  %C = scaling.pairwise {metric} points(%x, %y : {x}, {y}) outs(%e : {c}) -> {c}
  %r:5 = scaling.sinkhorn cost(%C : {c}){masks} form({form})
      rows({rule}) cols({rule}) order({order}) stop(#scaling.stop<{stop}>)
      numerics(#scaling.numerics<log>){attribute}
  return %r#0, %r#1, %r#2, %r#3, %r#4 : {f}, {g}, tensor<i32>, tensor<{acc}>, tensor<i32>
}}
"""


def check_cloud(
    folder, route, metric, n, m, d, element="f32", schedule=None, masked=False,
    stop=f"fixed {HALF_STEPS}", order="jacobi", anneal=True, shift=0.0,
):  # fmt: skip
    acc = "f64" if element == "f64" else "f32"
    rng = np.random.default_rng(n * 1000 + m)
    x, y = (
        rounded(rng.normal(size=(k, d)) / np.sqrt(d) + s, element)
        for k, s in ((n, shift), (m, 0.0))
    )
    masks = [rng.random(k) < 0.7 for k in (n, m)] if masked else []
    for mask in masks:
        mask[0] = True
    text = cloud_text(metric, n, m, d, element, schedule, masked, stop, order, anneal)
    actual = call(
        folder, route, text, [store(x, element), store(y, element), *masks],
        [acc, acc, "i32", acc, "i32"],
    )  # fmt: skip
    rule = sr.Rule(target="uniform")
    if order == "jacobi":
        rule = sr.Rule(target="uniform", reference="product", omega=0.5)
    form = sr.Form(epsilon=0.5)
    if anneal:
        form = sr.Form(start="targets", anneal=ANNEAL, extrapolate=True)
    mode, *rest = stop.split(", ")
    count = int(mode.split()[1]) if mode.startswith("fixed") else None
    cost = sr.pairwise(x, y, metric)
    named = {"row_mask": masks[0], "col_mask": masks[1]} if masked else {}
    expected = sr.sinkhorn(
        cost, domain="log", form=form, rows=rule, cols=rule, order=order,
        stop=sr.fixed(count), **named,
    )  # fmt: skip
    scale = max(np.abs(cost).max(), 1.0)
    for mine, theirs in zip(actual[:2], (expected.f, expected.g)):
        finite = np.isfinite(theirs)
        np.testing.assert_array_equal(np.isfinite(mine), finite)
        assert np.abs(mine - theirs)[finite].max() <= TOLERANCE[element] * scale
    assert actual[2] == expected.half_steps and actual[4] == expected.status


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("n, m", list(zip(SIZES, SIZES[4:] + SIZES[:4])))
def test_sizes(route, tmp_path, n, m, schedule):
    check_cloud(tmp_path, route, "sqeuclidean", n, m, 3, schedule=schedule)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", DEPTHS)
def test_metrics(route, tmp_path, metric, d):
    check_cloud(tmp_path, route, metric, 130, 65, d, schedule=SCHEDULES[1])


@pytest.mark.parametrize("element", ["f64", "bf16"])
@pytest.mark.parametrize("schedule", SCHEDULES[1:])
@pytest.mark.parametrize("masked", [False, True])
def test_types_and_masks(route, tmp_path, element, schedule, masked):
    check_cloud(
        tmp_path, route, "sqeuclidean", 100, 33, 3, element, schedule, masked
    )  # fmt: skip


@pytest.mark.parametrize("schedule", SCHEDULES[1:])
@pytest.mark.parametrize(
    "order, stop",
    [
        ("rows_first", "fixed 9"),
        ("rows_first", "fixed 10"),
        ("cols_first", "fixed 9"),
        ("cols_first", "fixed 10"),
        # A simultaneous update is two half-steps.
        ("jacobi", "fixed 10"),
    ],
)
def test_without_annealing(route, tmp_path, schedule, order, stop):
    check_cloud(
        tmp_path, route, "sqeuclidean", 200, 101, 5, schedule=schedule, order=order,
        stop=stop, anneal=False,
    )  # fmt: skip


@pytest.mark.parametrize("schedule", SCHEDULES[1:])
@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine"])
def test_out_of_range(route, tmp_path, schedule, metric):
    """Clouds so far apart that no sum of the first plan is a number."""
    check_cloud(
        tmp_path, route, metric, 70, 40, 3, schedule=schedule, shift=60.0
    )  # fmt: skip


def test_large(route, tmp_path):
    check_cloud(tmp_path, route, "sqeuclidean", 1000, 1001, 3, schedule=SCHEDULES[1])


def attention_text(h, n, m, d, w, element, schedule, masked, stop, domain):
    attribute = f" {{scaling.schedule = {schedule}}}" if schedule else ""
    masks, arguments = "", ""
    if masked:
        masks = f" row_mask(%rm : tensor<{h}x{n}xi1>) col_mask(%cm : tensor<{m}xi1>)"
        arguments = f", %rm: tensor<{h}x{n}xi1>, %cm: tensor<{m}xi1>"
    q, k, v, o = (
        f"tensor<{h}x{s}x{element}>"
        for s in (f"{n}x{d}", f"{m}x{d}", f"{m}x{w}", f"{n}x{w}")
    )
    return f"""
func.func @attention(%q: {q}, %k: {k}, %v: {v}{arguments}) -> {o} {{
  %O, %half_steps, %residual, %status = scaling.attention
      query(%q : {q}) key(%k : {k}) value(%v : {v}){masks} preset(sinkformer)
      stop(#scaling.stop<fixed {stop}>) numerics(#scaling.numerics<{domain}>){attribute}
  return %O : {o}
}}
"""


@pytest.mark.parametrize("schedule", [None, *SCHEDULES[2:]])
@pytest.mark.parametrize("stop", [1, 6])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "sizes", [(2, 17, 33, 5, 3), (3, 100, 65, 64, 64), (2, 300, 257, 16, 40)]
)
def test_attention(route, tmp_path, schedule, stop, masked, sizes):
    check_attention(route, tmp_path, schedule, stop, masked, sizes)


def test_attention_of_long_rows(route, tmp_path):
    """Several threads at one product, and a kernel whose rows have padding."""
    check_attention(route, tmp_path, SCHEDULES[2], 6, True, (1, 600, 150, 16, 40))


def check_attention(route, tmp_path, schedule, stop, masked, sizes):
    h, n, m, d, w = sizes
    rng = np.random.default_rng(n)
    q, k, v = (rng.normal(size=s) for s in ((h, n, d), (h, m, d), (h, m, w)))
    q, k, v = (rounded(value, "f32") for value in (q, k, v))
    masks = [rng.random((h, n)) < 0.7, rng.random(m) < 0.7] if masked else []
    for mask in masks:
        mask[..., 0] = True
    text = attention_text(*sizes, "f32", schedule, masked, stop, "absorb")
    inputs = [store(value, "f32") for value in (q, k, v)]
    actual = call(tmp_path, route, text, inputs + masks, ["f32"])[0]
    for i in range(h):
        named = {"row_mask": masks[0][i], "col_mask": masks[1]} if masked else {}
        expected = sr.attention(q[i], k[i], v[i], stop=sr.fixed(stop), **named)
        error = np.abs(actual[i] - expected[0]).max()
        assert error <= 1e-5 * max(1.0, np.abs(expected[0]).max())
