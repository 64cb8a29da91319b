"""scaling.jax.composite, and programs in StableHLO through --scaling-import-stablehlo
and IREE."""

import subprocess
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scaling
import scaling.jax as sj
import scaling.jax.composite as portable
from findtool import find_tool, need_module

FIXED = [
    name
    for name, preset in scaling.presets.ATTRIBUTES.items()
    if "project" in preset["ops"]
    and "<fixed" in preset["stop"]
    and "anneal" not in preset["form"]
]


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def close(actual, expected, tolerance=2e-6):
    expected = np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(
        np.asarray(actual), expected, rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("preset", FIXED)
def test_recurrences_are_those_of_the_presets(preset):
    x = normal(3, 5, 6)
    slack = {"slack": np.float32(0.3)} if preset == "superglue" else {}
    expected, info = scaling.project(x, preset=preset, return_info=True, **slack)
    actual, reported = portable.project(x, preset=preset, return_info=True, **slack)
    close(actual, expected, 5e-6)
    for field in ("half_steps", "residual", "status"):
        close(getattr(reported, field), getattr(info, field))


def test_operands_and_attributes():
    x, cost = normal(2, 1, 4, 5), abs(normal(3, 5, 5))
    a = 0.5 + abs(normal(3, 4, seed=1))
    how = {"half_steps": 5, "row_marginal": a, "temperature": np.float32(0.5)}
    for extra in (
        {"order": "jacobi", "domain": "log", "half_steps": 6},
        {"rows": scaling.Rule(tau=0.8, guard=("add_plan", 1e-3)), "domain": "kernel"},
        {"cols": scaling.Rule(omega=1.2, guard=("clamp_plan", 1e-3)), "domain": "log"},
        {"cols": scaling.Rule(guard=("add_kernel", 1e-3)), "shift": "col_max"},
    ):
        close(
            portable.project(x, **how | extra), scaling.project(x, **how | extra), 5e-6
        )
    for extra in ({}, {"start": "uniform", "domain": "kernel", "shift": "row_max"}):
        how = {"temperature": 0.7, "half_steps": 7, **extra}
        actual, expected = portable.sinkhorn(cost, **how), scaling.sinkhorn(cost, **how)
        close(actual.f, expected.f, 5e-6)
        close(actual.g, expected.g, 5e-6)
    q, bias = normal(2, 5, 3), normal(5, 5)
    how = {"temperature": 2.0, "logit_scale": 0.3}
    close(
        portable.attention(q, q, q, bias, **how),
        scaling.attention(q, q, q, bias, **how),
    )


@pytest.mark.parametrize(
    "how",
    [
        {"order": "rows_first", "axis": "rows", "norm": "linf"},
        {"order": "cols_first", "axis": "both", "norm": "l1", "domain": "log"},
        {"order": "jacobi", "axis": "cols", "norm": "mean", "every": 4},
        {"order": "rows_first", "axis": "cols", "norm": "l2", "what": "change"},
        {"order": "cols_first", "axis": "both", "norm": "l1", "what": "ratio"},
    ],
    ids=lambda how: "-".join(map(str, how.values())),
)
def test_iterations_until_a_tolerance(how):
    """Every problem of a batch stops where it would alone, and takes the steps of
    the op without over-relaxation."""
    given = dict(how)
    kept = {k: given.pop(k) for k in ("order", "domain") if k in given}
    if "what" not in how:
        given["relax"] = "none"
    stop = {"every": 3, "start": 4, "limit": 24, **given}
    kept["stop"] = scaling.Stop.until(3e-3, **stop)
    kept |= {"row_marginal": np.full(4, 1.25, np.float32), "return_info": True}
    x = normal(3, 4, 5) * np.float32([[[0.1]], [[1]], [[9]]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scaling.ConvergenceWarning)
        plan, info = scaling.project(x, **kept)
    found, report = jax.jit(lambda x: portable.project(x, **kept))(x)
    close(found, plan, 1e-5)
    assert report.half_steps.tolist() == info.half_steps.tolist()
    assert report.status.tolist() == info.status.tolist()
    # Simultaneous updates go to and fro.
    assert how["order"] == "jacobi" or info.status.tolist() == [1, 1, 2]
    close(report.residual, info.residual, 1e-4)


uniform = scaling.Rule(target="uniform")


def test_masks_and_zero_weights():
    x = normal(2, 5, 6)
    rows, cols = np.array([1, 0, 1, 1, 1], bool), np.ones((2, 6), bool)
    cols[1, [0, 4]] = False
    a = np.array([1, 1, 0, 2, 1], np.float32)
    x[:, 1] = 60
    until = scaling.Stop.until(1e-3, axis="rows", relax="none", limit=50)
    for how in (
        {"half_steps": 6, "row_mask": rows, "shift": "row_max", "domain": "kernel"},
        {"half_steps": 6, "col_mask": cols, "row_marginal": a, "shift": "col_max"},
        {
            "half_steps": 5,
            "row_mask": rows,
            "col_mask": cols,
            "scale": "rows_plus_cols",
        },
        {"preset": "sinkformer", "row_mask": rows, "col_mask": cols},
        {"stop": until, "row_mask": rows, "col_mask": cols},
    ):
        how = {"return_info": True, **how}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", scaling.ConvergenceWarning)
            plan, info = scaling.project(x, **how)
        found, report = jax.jit(lambda x, how=how: portable.project(x, **how))(x)
        close(found, plan, 5e-6)
        close(report.status, info.status)


def test_gradients_of_iterations_with_masks():
    x, w = normal(4, 5), normal(4, 5, seed=2)
    how = {
        "tol": 1e-4,
        "row_mask": np.array([1, 1, 0, 1], bool),
        "rows": uniform,
        "cols": uniform,
    }
    loss = lambda x: jnp.sum(w * portable.project(x, **how))
    actual = np.asarray(jax.jit(jax.grad(loss))(x), np.float64)
    assert np.all(actual[2] == 0) and np.all(np.isfinite(actual))
    direction, h = normal(4, 5, seed=3), np.float32(1e-2)
    difference = float(loss(x + h * direction) - loss(x - h * direction)) / (2 * h)
    np.testing.assert_allclose(np.sum(actual * direction), difference, rtol=2e-2)


def test_what_diverges_gives_its_start():
    x = normal(2, 4, 4)
    x[1, 2, 3] = np.nan
    how = {"half_steps": 4, "domain": "kernel", "return_info": True}
    plan, info = portable.project(x, **how)
    assert info.status.tolist() == [scaling.Status.FIXED, scaling.Status.DIVERGED]
    with pytest.warns(scaling.ConvergenceWarning):
        close(plan, scaling.project(x, **how)[0])


def test_transformations():
    x, e, w = normal(3, 4, 5), np.float32(0.7), normal(3, 4, 5, seed=2)

    def loss(module):
        return lambda x, e: jnp.sum(w * module.project(x, temperature=e, half_steps=6))

    for argument in (0, 1):
        actual = jax.jit(jax.grad(loss(portable), argument))(x, e)
        close(actual, jax.grad(loss(sj), argument)(x, e), 5e-6)
    # What is batched keeps being one composite, with its batch in front.
    one = lambda x: portable.project(x, preset="mhc")
    batched = jax.jit(jax.vmap(one, in_axes=2, out_axes=2))
    moved = np.moveaxis(x, 0, 2)
    close(batched(moved), np.moveaxis(scaling.project(x, preset="mhc"), 0, 2))
    text = batched.lower(moved).as_text()
    assert text.count("stablehlo.composite") == 1


def test_second_derivatives_are_those_of_the_recurrence():
    """By differences of the gradients of scaling.project, in f64."""
    how = {"half_steps": 5, "domain": "log"}
    x, w, v = (normal(4, 4, seed=seed, dtype=np.float64) for seed in range(3))
    with jax.enable_x64(True):
        value = lambda x: jnp.sum(w * portable.project(x, **how))
        found = jax.jit(jax.grad(lambda x: jnp.sum(v * jax.grad(value)(x))))(x)

    def slope(t):
        _, pullback = scaling.vjp(scaling.project, x + t * v, **how)
        return pullback(w)[0]

    close(found, (slope(1e-5) - slope(-1e-5)) / 2e-5, 1e-8)


@pytest.mark.parametrize(
    "how, message",
    [
        ({"stop": scaling.Stop.best(10)}, "stop: 'best' has no portable form"),
        ({"preset": "geomloss", "input": "logits"}, "anneal: "),
        ({"row_init": np.ones(4, np.float32)}, "row_init: composites"),
        ({"half_steps": 2, "rows": "l2", "domain": "kernel"}, "rows: stat: 'l2'"),
        ({"half_steps": 2, "rows": scaling.Rule(step=(0.5, 2))}, "rows: step: "),
        ({"half_steps": 2, "order": "symmetric"}, "order: 'symmetric'"),
        ({"preset": "nothing"}, "preset: 'nothing'"),
    ],
)
def test_what_has_no_portable_form_is_refused(how, message):
    with pytest.raises(ValueError, match=message):
        portable.project(normal(4, 4), **how)


def imported(function, *arguments):
    """The text that jaxlib prints, through the tool."""
    module = jax.jit(function).lower(*arguments).compiler_ir()
    text = module.operation.get_asm(print_generic_op_form=True)
    command = [find_tool("scaling-opt"), "--allow-unregistered-dialect"]
    run = subprocess.run(
        [*command, "--scaling-import-stablehlo"],
        input=text,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0 and not run.stderr, run.stderr
    return run.stdout


@pytest.mark.parametrize("module", [sj, portable])
def test_programs_are_imported_and_run(module):
    x, b = normal(2, 3, 4, 5), 0.5 + abs(normal(5, seed=1))
    function = lambda x, b: module.project(
        x, col_marginal=b, half_steps=4, domain="log"
    )
    # The marginal goes into the call with the batch's rank, made by StableHLO.
    text = imported(function, x, b)
    assert text.count("scaling.project logits(") == 1
    assert "stablehlo.composite" not in text and "stablehlo.custom_call" not in text
    # With nothing else in it the program is whole.
    text = imported(lambda x: module.project(x, preset="mhc"), x)
    assert "stablehlo" not in text and "mhlo" not in text and "jax." not in text
    close(scaling.compile(text).main(x), scaling.project(x, preset="mhc"))
    text = imported(lambda x: module.attention(x, x, x), x)
    close(scaling.compile(text).main(x), scaling.attention(x, x, x))


def test_iree_runs_the_decomposition():
    for package in ("iree.compiler", "iree.runtime"):
        need_module(package)
    import iree.compiler
    import iree.runtime

    x = normal(6, 4, 4)
    lowered = jax.jit(lambda x: portable.project(x, preset="mhc")).lower(x)
    assert "stablehlo.composite" in lowered.as_text()
    program = iree.compiler.compile_str(
        lowered.as_text(),
        input_type="stablehlo",
        target_backends=["llvm-cpu"],
        extra_args=["--iree-llvmcpu-target-cpu=host"],
    )
    config = iree.runtime.Config("local-sync")
    context = iree.runtime.SystemContext(config=config)
    module = iree.runtime.VmModule.copy_buffer(context.instance, program)
    context.add_vm_module(module)
    result = context.modules[module.name].main(x).to_host()
    close(result, scaling.project(x, preset="mhc"))
