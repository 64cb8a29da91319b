"""Every preset, as its name alone compiles, against its origin's recurrence.

The plain functions of the reference are written from the projects the presets
come from; what has no fixed count is compared with the generic reference too.
"""

import re

import numpy as np
import pytest
import scaling_reference as sr
from findtool import ROOT
from programs import Call, Programs, rounded
from scaling_reference import presets
from scaling_reference.presets import PRESET_SPECS, run_preset

I = np.arange(4)
Z = 2 * np.sin(1 + 3 * I[:, None] + 5 * I[None, :])
SINQ_W = (1 + I[:, None]) * np.sin(1 + 7 * I[:, None] + 11 * I) * np.where(I == 2, 9, 1)
GEBAL_A = np.array([[1, 100, 1e4], [0.01, 1, 100], [1e-4, 0.01, 1]])
SHAPE = (6, 9)

#: Temperatures of the transport presets, and the cost's range is 1.
EPSILON = 0.1
TRANSPORT = ("pot", "pot_log", "pot_stabilized", "pot_unbalanced", "ott", "geomloss")
#: Stopped by a tolerance or by the best so far: a rounding may move the count.
COUNTED = ("sela", "megatron_moe", "sinq", "kvarn", *TRANSPORT[:5])
#: element, dims, batch
VARIANTS = {
    "f64": ("f64", "static", ()),
    "f64 dynamic": ("f64", "dynamic", (3,)),
    "f32": ("f32", "static", ()),
    "bf16": ("bf16", "mixed", (2,)),
}
#: What the matrix looks like: a scale of normally distributed logits.
SCALES = {"swav": 0.2, "sela": 0.3, "megatron_moe": 1.0}


def uneven(shape, rng):
    """With outlying rows and columns, as the quantisers see them."""
    rows = rng.lognormal(0, 1, (*shape[:-1], 1))
    cols = rng.lognormal(0, 1, (*shape[:-2], 1, shape[-1]))
    return rows * rng.normal(size=shape) * cols


def operands(name, element, batch):
    rng = np.random.default_rng(len(name) + len(batch))
    shape = (*batch, *SHAPE)
    spec = PRESET_SPECS[name]
    if name == "gebal":
        return {"matrix": uneven((*batch, 6, 6), rng)}
    if spec["op"] == "balance":
        return {"matrix": uneven(shape, rng)}
    if name not in TRANSPORT:
        given = {spec["kind"]: SCALES.get(name, 2.0) * rng.normal(size=shape)}
        if name == "superglue":
            given["slack"] = np.array(0.3)
        return given
    a = rng.uniform(0.2, 1, (*batch, SHAPE[0]))
    b = rng.uniform(0.2, 1, (*batch, SHAPE[1]))
    given = {
        "cost": rng.uniform(0, 1, shape),
        "row_marginal": a / a.sum(-1, keepdims=True),
        "col_marginal": b / b.sum(-1, keepdims=True),
    }
    if name != "geomloss":
        given["epsilon"] = np.array(EPSILON)
    return given


#: `similarity_balance` takes f32 and f64 only.
CASES = [
    (name, variant)
    for name in PRESET_SPECS
    for variant, (element, *_) in VARIANTS.items()
    if element != "bf16" or PRESET_SPECS[name]["op"] != "similarity_balance"
]


def call(name, variant):
    element, dims, batch = VARIANTS[variant]
    given = {k: rounded(v, element) for k, v in operands(name, element, batch).items()}
    op, text = PRESET_SPECS[name]["op"], f"preset({name})"
    return Call(op, given, text, element, dims=dims, slack="slack" in given)


def golden_calls():
    swap, half = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0.5, 0.5])
    log_softmax = Z - np.log(np.sum(np.exp(Z), axis=1, keepdims=True))
    transport = {
        "cost": swap, "row_marginal": half, "col_marginal": half,
        "epsilon": np.array(1.0),
    }  # fmt: skip
    ten = "preset(mhc) stop(#scaling.stop<fixed 19>)"
    half_power = (
        "preset(sela) form(#scaling.form<logits, map = softmax_rows,"
        " epsilon = 0.5, start = uniform, scale = rows>)"
    )
    calls = {
        "mhc_10": Call("project", {"logits": Z}, ten),
        "superglue": Call(
            "project", {"logits": Z, "slack": np.array(1.0)}, "preset(superglue)",
            slack=True,
        ),
        "sela": Call("project", {"logits": log_softmax}, half_power),
        "sinkgd": Call("balance", {"matrix": Z}, "preset(sinkgd)"),
        "sinq": Call("balance", {"matrix": SINQ_W}, "preset(sinq)"),
        "gebal": Call("similarity_balance", {"matrix": GEBAL_A}, "preset(gebal)"),
        "sinkformer_attention": Call(
            "attention",
            {"query": 2 * Z, "key": np.eye(4), "value": np.eye(4)},
            "preset(sinkformer)",
        ),
    }  # fmt: skip
    for name in ("mhc", "mhc_sigmoid", "mhc_static", "sinkformer", "megatron_moe"):
        calls[name] = Call("project", {"logits": Z}, f"preset({name})")
    for name in ("pot", "pot_log", "pot_stabilized", "pot_unbalanced"):
        calls[name] = Call("project", transport, f"preset({name})")
    return {f"golden_{name}": call for name, call in calls.items()}


@pytest.fixture(scope="session")
def programs(route):
    calls = golden_calls()
    for name, variant in CASES:
        calls[f"{name}_{variant.replace(' ', '_')}"] = call(name, variant)
    return Programs(route, calls)


def check(actual, expected, digits):
    """Equal to all given digits: half a unit of the last one."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=0.51 * 10.0**-digits)


#: Row 0 of the plan, by independent computation; digits given.
GOLDEN = {
    "mhc": ([0.561202050, 0.180408565, 0.025339073, 0.233049124], 9),
    "mhc_10": ([0.561183983, 0.180308887, 0.025320458, 0.232985959], 9),
    "mhc_sigmoid": ([0.441377443, 0.231784709, 0.087427518, 0.239409330], 9),
    "mhc_static": ([0.947720934, 0, 0, 0.000000158], 9),
    "sinkformer": ([0.614409261, 0.148845407, 0.019225803, 0.217519529], 9),
    "sinkformer_attention": (
        [0.614409261, 0.148845407, 0.019225803, 0.217519529], 9),
    "superglue": (
        [-1.206299578, -3.178753857, -4.941345943, -3.011774359, -0.506318395], 9),
    "megatron_moe": ([0.140299813, 0.045095993, 0.006333373, 0.058258411], 9),
    "sela": ([0.673384815, 0.126732341, 0.001682371, 0.198200473], 9),
    "pot": ([0.36552929, 0.13447071], 8),
    "pot_log": ([0.36552929, 0.13447071], 8),
    "pot_stabilized": ([0.36552929, 0.13447071], 8),
    "pot_unbalanced": ([0.3220536, 0.1184769], 7),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(programs, name):
    expected, digits = GOLDEN[name]
    check(programs(f"golden_{name}")[0][0], expected, digits)


def test_golden_counts(programs):
    assert programs("golden_megatron_moe")[1] == 24
    assert programs("golden_sela")[1] == 22


def test_golden_sinkgd(programs):
    u, v, *_ = programs("golden_sinkgd")
    expected = [0.480550417, -0.216163029, -0.4091877, -0.745457318]
    check((u[:, None] * Z * v)[0], expected, 9)


def test_golden_sinq(programs):
    u, v, steps, residual, status = programs("golden_sinq")
    check(1 / v, [0.7408182207, 1.20161373, 2.8, 1.19952733], 8)
    check(1 / u, [1.51026995, 3.04599025, 3.28331373, 2.4058771], 8)
    check(residual, 3.01266695, 8)
    assert status == sr.LIMIT


def test_golden_gebal(programs):
    balanced, scale, *_ = programs("golden_gebal")
    np.testing.assert_array_equal(scale, [512, 8, 0.0625])
    expected = [[1, 1.5625, 1.220703125], [0.64, 1, 0.78125], [0.8192, 1.28, 1]]
    np.testing.assert_allclose(balanced, expected, rtol=1e-15)


#: What the plain function gives that the op gives too, per matrix.
PLAIN = {
    "mhc": presets.mhc, "mhc_sigmoid": presets.mhc_sigmoid,
    "mhc_clamp": presets.mhc_clamp, "mhc_log": presets.mhc_log,
    "mhc_columns": presets.mhc_columns, "mhc_static": presets.mhc_static,
    "mhc_recip": presets.mhc_recip, "sinkformer": presets.sinkformer,
    "superglue": lambda z: presets.superglue(z, 0.3), "swav": presets.swav,
    "optvq": presets.optvq, "gumbel": presets.gumbel,
    "sela": lambda z: presets.sela(z).plan,
    "megatron_moe": lambda z: presets.megatron_moe(z).plan,
}  # fmt: skip


def transported(name, cost, a, b):
    """f and g with the marginals inside, from the plain functions."""
    if name == "geomloss":
        schedule = presets.geomloss_epsilons(1.0)
        plain, eps = presets.geomloss(a, b, cost, schedule), schedule[-1]
        return plain.row + eps * np.log(a), plain.col + eps * np.log(b)
    if name == "pot_unbalanced":
        plain = presets.pot_unbalanced(a, b, cost, EPSILON, (EPSILON, EPSILON))
        return EPSILON * np.log(a * plain.row), EPSILON * np.log(b * plain.col)
    plain = getattr(presets, name)(a, b, cost, EPSILON)
    if name == "ott":
        return plain.row, plain.col
    row, col = plain.row, plain.col
    if name == "pot":
        row, col = np.log(row), np.log(col)
    return EPSILON * row, EPSILON * col


def expected_main(name, given):
    """The results but the last three, of one matrix."""
    if name in PLAIN:
        return [PLAIN[name](next(iter(given.values())))]
    if name in TRANSPORT:
        return list(
            transported(
                name, given["cost"], given["row_marginal"], given["col_marginal"]
            )
        )
    if name == "gebal":
        return list(presets.gebal(given["matrix"]))
    plain = getattr(presets, name)(given["matrix"])
    if name in ("sinq", "kvarn"):
        return [1 / plain.mu2, 1 / plain.mu1]
    if name == "sinkgd":
        result = run_preset(name, given["matrix"])
        return [result.row, result.col]
    return list(plain)


#: Relative to the largest entry. f32: 2^-24 times the half-steps, at a
#: contraction of at worst 1/2 over the last few; bf16 rounds its result.
TOLERANCE = {"f64": 1e-12, "f32": 2e-5, "bf16": 2.0**-8 + 2e-5}


def close(actual, expected, tolerance):
    scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale)


def generic(name, given):
    spec = PRESET_SPECS[name]
    renamed = {
        {"row_marginal": "row_target", "col_marginal": "col_target"}.get(k, k): v
        for k, v in given.items()
    }
    matrix = renamed.pop(next(iter(given)))
    return run_preset(name, matrix, **renamed), spec


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_preset(programs, name, variant):
    element, _, batch = VARIANTS[variant]
    label = f"{name}_{variant.replace(' ', '_')}"
    made, results = programs.calls[label], programs(label)
    tolerance = TOLERANCE[element]
    main = len(results) - (2 if name == "gebal" else 3)
    for index in np.ndindex(*batch):
        given = {
            k: (
                v[index]
                if np.ndim(v) >= len(batch) and k not in ("slack", "epsilon")
                else v
            )
            for k, v in made.operands.items()
        }
        actual = [result[index] for result in results]
        expected = expected_main(name, given)
        if name == "gebal":
            np.testing.assert_array_equal(actual[1], expected[1])
            close(actual[0], expected[0], 1e-15 if element == "f64" else 1e-6)
            assert actual[3] == sr.CONVERGED
            continue
        reference, spec = generic(name, given)
        stop = spec["stop"]
        steps, residual, status = actual[main:]
        if element != "f64" and name in COUNTED:
            if stop.mode == "until":
                # A tolerance below what f32 resolves is not reached, or later.
                assert status in (sr.CONVERGED, sr.LIMIT)
                if stop.tol >= 1e-4:
                    assert abs(int(steps) - int(reference.half_steps)) <= stop.every
                # Equality at the count that was reached.
                reference = run_fixed(name, given, int(steps))
                expected = list(reference[: len(expected)])
            else:
                close(residual, reference.residual, 1e-5)
                if int(steps) != int(reference.half_steps):
                    expected = list(run_fixed(name, given, int(steps))[:2])
        else:
            assert steps == reference.half_steps and status == reference.status
            # A marginal error is a difference of numbers up to 1.
            np.testing.assert_allclose(
                residual, reference.residual, rtol=tolerance, atol=tolerance
            )
        if name == "pot_stabilized":
            # POT's absorption moves a constant from one potential to the other.
            shift = np.mean(actual[0]) - np.mean(expected[0])
            actual[0], actual[1] = actual[0] - shift, actual[1] + shift
        if name == "geequb":
            for x, y in zip(actual, expected[:2]):
                np.testing.assert_array_equal(x, y)
        for x, y in zip(actual, expected[:main]):
            close(x, y, tolerance)


def run_fixed(name, given, count):
    """The generic reference, at a count that a compiled program came to."""
    spec = PRESET_SPECS[name]
    matrix, *_ = given.values()
    rest = {
        {"row_marginal": "row_target", "col_marginal": "col_target"}.get(k, k): v
        for k, v in list(given.items())[1:]
    }
    rules = {k: spec[k] for k in ("rows", "cols", "order")}
    if spec["op"] == "balance":
        return sr.balance(matrix, **rules, stop=sr.fixed(count))
    run = sr.sinkhorn if spec["op"] == "sinkhorn" else sr.project
    return run(
        matrix, kind=spec["kind"], form=spec["form"], domain=spec["domain"],
        stop=sr.fixed(count), **rules, **rest,
    )  # fmt: skip


def test_all_presets_are_tested():
    records = ROOT / "include/scaling/Dialect/Scaling/IR/Presets.td"
    names = re.findall(r"^def (\w+) : Preset", records.read_text(), re.MULTILINE)
    assert len(names) == 26 and set(names) == set(PRESET_SPECS)
