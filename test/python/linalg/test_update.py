"""`scaling.update` through linalg: every field of a rule, both domains."""

import numpy as np
import pytest
from scaling_reference.rules import Rule, statistic, update_kernel, update_log

from linalg_program import (
    TOLERANCE,
    TYPES,
    Program,
    assert_close,
    rounded,
    store,
    tensor,
)
from test_reduce import PASSES, states

# The text of a rule without its statistic, and what the reference calls it.
FIELDS = {
    "plain": ("", {}),
    "exponent": ("exponent = 0.5", {"exponent": 0.5}),
    "power": ("exponent = 0.75", {"exponent": 0.75}),
    "add_plan": ("guard = add_plan(1.0e-3)", {"guard": ("add_plan", 1e-3)}),
    "clamp_plan": ("guard = clamp_plan(2.0)", {"guard": ("clamp_plan", 2.0)}),
    "add_kernel": ("guard = add_kernel(1.0e-3)", {"guard": ("add_kernel", 1e-3)}),
    "limit": ("limit = [0.9, 3.0]", {"limit": (0.9, 3.0)}),
    "below": ("limit = [0.9, 3.0, 1.0]", {"limit": (0.9, 3.0, 1.0)}),
    "step": ("step = [0.5, 1.5]", {"step": (0.5, 1.5)}),
    "tau": ("tau = 0.75", {"tau": 0.75}),
    "product": (
        "tau = 0.75, reference = product",
        {"tau": 0.75, "reference": "product"},
    ),
    "omega": ("omega = 1.5", {"omega": 1.5}),
    "clamp": ("clamp = [0.25, 1.25]", {"clamp": (0.25, 1.25)}),
    "pow2": ("round = pow2", {"round": "pow2"}),
    "everything": (
        "guard = add_plan(1.0e-3), exponent = 0.5, limit = [0.1, 8.0, 1.0],"
        " step = [0.5, 1.5], tau = 0.75, reference = product, omega = 1.25,"
        " clamp = [0.25, 4.0]",
        {
            "guard": ("add_plan", 1e-3),
            "exponent": 0.5,
            "limit": (0.1, 8.0, 1.0),
            "step": (0.5, 1.5),
            "tau": 0.75,
            "reference": "product",
            "omega": 1.25,
            "clamp": (0.25, 4.0),
        },
    ),
}
ALL = ("target", "mask", "statistic")
B, N, M = 3, 6, 5
#: Of the operand, per batch element.
OMEGAS = np.array([1.0, 1.5, 1.9])


def cases():
    for field in FIELDS:
        for domain in ("kernel", "log"):
            # Rounding to powers of two is exact, in the kernel domain only.
            if (field, domain) != ("pow2", "log"):
                yield "sum", domain, field, "f64", "f64", "batched", ALL
    yield "sum", "absorb", "everything", "f64", "f64", "batched", ALL
    for stat in PASSES:
        if stat not in ("sum", "lse"):
            yield stat, "kernel", "plain", "f64", "f64", "batched", ALL
            yield stat, "kernel", "exponent", "f64", "f64", "batched", ()
    for _, acc in TYPES[1:2]:
        for domain in ("kernel", "log"):
            for options in ((), ("target",), ("mask", "statistic"), ALL):
                # Targets as bf16: they are extended.
                yield "sum", domain, "everything", "bf16", acc, "batched", options
    for domain in ("kernel", "log"):
        for layout in ("plain", "shared", "first"):
            yield "sum", domain, "plain", "f64", "f64", layout, ALL
        for layout in ("batched", "first"):
            for field in ("plain", "clamp"):
                yield "sum", domain, field, "f64", "f64", layout, (*ALL, "omega")
        yield "sum", domain, "plain", "f32", "f32", "batched", ("omega",)
        # Factors in a storage type: computed in f32.
        yield "sum", domain, "plain", "bf16", "bf16", "batched", ALL


CASES = list(cases())


def name_of(case):
    return "_".join([*case[:-1], *case[-1]])


def function_text(stat, domain, field, storage, acc, layout, options):
    batched = layout != "plain"
    vector = tensor([None] * (1 + batched), acc)
    short = 1 + (batched and layout != "shared")
    reduced = "sum" if domain == "kernel" else "lse"
    count = PASSES[stat if domain == "kernel" else reduced]
    arguments = [(f"s{i}", vector) for i in range(count)] + [("own", vector)]
    names = ", ".join(f"%s{i}" for i in range(count))
    clauses = [
        f"states({names} : {', '.join([vector] * count)})",
        f"own(%own : {vector})",
    ]
    for name, type_text in (
        ("target", tensor([None] * short, storage)),
        ("mask", tensor([None] * short, "i1")),
    ):
        if name in options:
            arguments.append((name, type_text))
            clauses.append(f"{name}(%{name} : {type_text})")
    if "omega" in options:
        arguments.append(("omega", tensor([None], acc)))
        clauses.append(f"omega(%omega : {tensor([None], acc)})")
    outs = 2 if "statistic" in options else 1
    arguments += [(f"o{i}", vector) for i in range(outs)]
    types = ", ".join([vector] * outs)
    text = FIELDS[field][0]
    rule = f"#scaling.rule<{stat}{', ' + text if text else ''}>"
    dim = " {dim = 0 : i64}" if layout == "first" else ""
    names = "%r#0, %r#1" if outs == 2 else "%r"
    body = (
        f"  %r{':2' if outs == 2 else ''} = scaling.update rule({rule})"
        f" domain({domain}) {' '.join(clauses)}"
        f" outs({', '.join(f'%o{i}' for i in range(outs))} : {types}){dim} -> {types}\n"
        f"  return {names} : {types}"
    )
    return arguments, [vector] * outs, body


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = Program()
    for case in CASES:
        program.add(name_of(case), *function_text(*case))
    program.compile(tmp_path_factory.mktemp("update"))
    return program


def compute(program, case, h, t, s_entries, mask):
    """Calls on values [batch, n]; entries [batch, n, m] give the statistic."""
    stat, domain, _, storage, acc, layout, options = case

    def place(values, full=True):
        if layout == "plain" or (layout == "shared" and not full):
            return values[0]
        return np.ascontiguousarray(values.T) if layout == "first" else values

    inputs = []
    for state in states(stat if domain == "kernel" else "lse", s_entries):
        inputs.append(store(place(state), acc))
    inputs.append(store(place(h), acc))
    if "target" in options:
        inputs.append(store(place(t, full=False), storage))
    if "mask" in options:
        inputs.append(place(mask, full=False))
    if "omega" in options:
        inputs.append(store(OMEGAS, acc))
    outs = 2 if "statistic" in options else 1
    shape = place(h).shape
    inputs += [store(np.full(shape, np.nan), acc)] * outs
    results = program.call(name_of(case), inputs, [shape] * outs)
    if layout == "plain":
        return [r[None] for r in results]
    return [r.T for r in results] if layout == "first" else results


def expected_update(case, h, t, entries, mask):
    stat, domain, field, *_, options = case
    rule = Rule(stat=stat, **FIELDS[field][1])
    goal = t if "target" in options else np.ones_like(t)
    if domain == "kernel":
        s = np.stack([statistic(stat, e) for e in entries])
        sigma = h**rule.degree * s
        update, none = update_kernel, 0.0
    else:
        s = np.log(np.sum(np.exp(entries), axis=-1))
        sigma = np.exp(h + s)
        update, none = update_log, -np.inf
    with np.errstate(all="ignore"):
        new = update(s, h, goal, rule)
        if "omega" in options:
            w = OMEGAS[:, None]
            if domain == "kernel":
                new = h ** (1 - w) * new**w
            else:
                new = (1 - w) * h + w * new
    zero = goal == 0
    if "mask" in options:
        zero |= ~mask
    new = np.where(zero, none, new)
    return [new, sigma][: 2 if "statistic" in options else 1]


def problem(case, seed=0):
    _, domain, _, storage, acc, layout, _ = case
    rng = np.random.default_rng(seed)
    batch = 1 if layout == "plain" else B
    h = rng.uniform(0.5, 2.0, (batch, N))
    entries = rng.uniform(0.1, 1.0, (batch, N, M))
    if domain != "kernel":
        h, entries = np.log(h), np.log(entries)
    t = rounded(rng.uniform(0.5, 2.0, (batch, N)), storage)
    t[:, 1] = 0.0
    mask = np.ones((batch, N), bool)
    mask[:, 2] = False
    if layout == "shared":
        t[:], mask[:] = t[:1], mask[:1]
    return rounded(h, acc), t, entries, mask


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_update(program, case):
    values = problem(case)
    tolerance = TOLERANCE["f64" if case[4] == "f64" else "f32"]
    if case[4] == "bf16":
        # Three roundings of inputs, one of the result; logarithms are not small.
        tolerance = 4 * 2.0**-8
    actual = compute(program, case, *values)
    for a, e in zip(actual, expected_update(case, *values)):
        assert_close(a, e, tolerance)


@pytest.mark.parametrize("domain", ["kernel", "log"])
def test_no_support(program, domain):
    """Without guard and limit the factor stays where the statistic is zero."""
    case = ("sum", domain, "plain", "f64", "f64", "plain", ALL)
    h, t, _, mask = problem(case)
    # The neutral states, as a row without mass leaves them.
    neutral = {"kernel": [0.0], "log": [-np.finfo(np.float64).max, 0.0]}[domain]
    inputs = [np.full(N, state) for state in neutral]
    inputs += [h[0], t[0], mask[0], np.zeros(N), np.zeros(N)]
    new, sigma = program.call(name_of(case), inputs, [(N,), (N,)])
    assert new[3] == h[0, 3] and sigma[3] == 0.0


def test_zero_factor_recovers(program):
    case = ("sum", "kernel", "plain", "f64", "f64", "batched", ALL)
    h, t, entries, mask = problem(case)
    h[:, 0] = 0.0
    new, sigma = compute(program, case, h, t, entries, mask)
    assert (sigma[:, 0] == 0).all() and (new[0, 0] > 0)
