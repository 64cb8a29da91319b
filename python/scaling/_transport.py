"""Transport problems: potentials, plans, and what is made of plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from ._attributes import (
    Attributes,
    Rule,
    Stop,
    _parse,
    flag,
    float_text,
    one_of,
    resolve,
)
from ._calls import REPORT, Info, Kind, Operand, Result, Writer, array_of, call
from ._operands import (
    FORM,
    NUMERICS,
    RULES,
    TRANSPORT,
    Array,
    as_temperature,
    gather,
    info_of,
    op_lines,
)
from .presets import ATTRIBUTES, Preset

#: Where neither a preset nor an argument says when to stop.
SINKHORN_STOP = Stop.until(1e-5, axis="rows", norm="l1")
PROJECT_STOP = Stop.until(1e-5, axis="rows", norm="linf")


@dataclass(frozen=True, slots=True)
class SinkhornResult:
    """Potentials f `[..., n]` and g `[..., m]` in the cost's units, marginals
    inside: P = exp((f_i + g_j − C_ij)/ε); and how the iteration ended."""

    f: Array
    g: Array
    info: Info


def sinkhorn(
    matrix: ArrayLike,
    row_marginal: ArrayLike | None = None,
    col_marginal: ArrayLike | None = None,
    *,
    preset: Preset | str | None = None,
    input: str | None = None,
    temperature: ArrayLike | None = None,
    row_init: ArrayLike | None = None,
    col_init: ArrayLike | None = None,
    row_mask: ArrayLike | None = None,
    col_mask: ArrayLike | None = None,
    slack: ArrayLike | None = None,
    map: str | None = None,
    shift: str | None = None,
    normalize_total: float | None = None,
    start: str | None = None,
    anneal: Any = None,
    extrapolate: bool | None = None,
    rows: Rule | str | None = None,
    cols: Rule | str | None = None,
    order: str | None = None,
    stop: Stop | None = None,
    half_steps: int | None = None,
    tol: float | None = None,
    max_half_steps: int | None = None,
    domain: str | None = None,
    accumulate: str | None = None,
    strict: bool | None = None,
    products: str | None = None,
) -> SinkhornResult:
    """The potentials of an entropic transport problem.

    P_ij = exp((f_i + g_j − C_ij)/ε) has the row sums a and column sums b
    (Cuturi, 2013). The marginals are inside the potentials; the gauge (f + c,
    g − c) is the iteration's own.

    Args:
        matrix: cost `[..., n, m]`, or what `input` says.
        row_marginal: a `[..., n]`, default 1/n each. col_marginal: b `[..., m]`.
        preset: a published convention (`scaling.Preset`, docs/presets.md); what
            is given besides replaces its attributes one by one.
        input: "cost" (default), "logits" (−cost) or "kernel" (exp(−cost/ε)).
        temperature: ε > 0, in the cost's units: a number, or one per problem.
        row_init, col_init: start potentials. row_mask, col_mask: booleans, True
            takes part. slack: cost of a dustbin row and column; marginals,
            starts and masks then have n + 1 and m + 1 entries.
        map, shift, normalize_total, start, anneal, extrapolate: of the form,
            rows, cols: rules; order, stop (or half_steps, or tol and
            max_half_steps); domain, accumulate, strict, products: of the numerics.
            The page docs/python.md has all of them, docs/semantics.md their
            meaning.

    Without a preset: both marginals uniform where not given, rows first, until
    the l1 error of the row sums is at most 1e-5, in the absorb domain.

    Returns an object with `.f` `[..., n]`, `.g` `[..., m]` (f64 for f64, else
    f32) and `.info`. Warns with ConvergenceWarning when not converged.
    """
    names, arrays = gather(
        (
            ("matrix", matrix),
            ("row_marginal", row_marginal),
            ("col_marginal", col_marginal),
            ("row_init", row_init),
            ("col_init", col_init),
            ("row_mask", row_mask),
            ("col_mask", col_mask),
            ("slack", slack),
            ("epsilon", as_temperature(temperature)),
        )
    )
    given = (
        preset, input, map, shift, normalize_total, start, anneal, extrapolate, rows,
        cols, order, stop, half_steps, tol, max_half_steps, domain, accumulate, strict,
        products,
    )  # fmt: skip

    def make() -> Kind:
        attributes = _resolve_sinkhorn(given)
        return Kind(
            "sinkhorn",
            TRANSPORT,
            (Result("n", "factor", 1), Result("m", "factor", 1), *REPORT),
            lambda w, types: op_lines("sinkhorn", 5, types, attributes),
            attributes.accumulate,
            attributes.is_best,
        )

    f, g, *report = call(("sinkhorn", names, given), make, names, arrays)
    return SinkhornResult(f, g, info_of(report))


SINKHORN_ATTRIBUTES = (
    "preset", "input", "map", "shift", "normalize_total", "start", "anneal",
    "extrapolate", *RULES, *NUMERICS,
)  # fmt: skip


def _resolve_sinkhorn(given: tuple) -> Attributes:
    return resolve(
        "sinkhorn",
        dict(zip(SINKHORN_ATTRIBUTES, given)),
        default_input="cost",
        default_target="uniform",
        default_stop=SINKHORN_STOP,
    )


PROJECT_ATTRIBUTES = ("preset", "input", *FORM, *RULES, *NUMERICS)


def project(
    matrix: ArrayLike,
    *,
    preset: Preset | str | None = None,
    input: str | None = None,
    temperature: ArrayLike | None = None,
    row_marginal: ArrayLike | None = None,
    col_marginal: ArrayLike | None = None,
    row_init: ArrayLike | None = None,
    col_init: ArrayLike | None = None,
    row_mask: ArrayLike | None = None,
    col_mask: ArrayLike | None = None,
    slack: ArrayLike | None = None,
    map: str | None = None,
    shift: str | None = None,
    standardize: bool | None = None,
    entry_eps: float | None = None,
    normalize_total: float | None = None,
    start: str | None = None,
    output: str | None = None,
    scale: str | None = None,
    anneal: Any = None,
    extrapolate: bool | None = None,
    rows: Rule | str | None = None,
    cols: Rule | str | None = None,
    order: str | None = None,
    stop: Stop | None = None,
    half_steps: int | None = None,
    tol: float | None = None,
    max_half_steps: int | None = None,
    domain: str | None = None,
    accumulate: str | None = None,
    strict: bool | None = None,
    products: str | None = None,
    return_info: bool = False,
) -> Any:
    """The scaled matrix itself: the nearest one, in relative entropy, that has
    the wanted row and column sums (Sinkhorn and Knopp, 1967).

    Args:
        matrix: logits `[..., n, m]`, or what `input` says.
        preset: a published convention, such as "mhc", "sinkformer",
            "superglue", "swav" (docs/presets.md).
        input: "logits" (default), "cost" or "kernel".
        temperature: ε > 0 the logits are divided by: a number, or one per problem.
        row_marginal `[..., n]`, col_marginal `[..., m]`: the sums; default 1 each.
        output: "plan" or "log_plan"; scale: "rows" multiplies it by n, and so on.
        The other arguments are those of `sinkhorn`, and of the form: standardize,
        entry_eps.

    Without a preset: rows first, until no row sum is off by more than 1e-5.

    Returns the plan `[..., n, m]` (with slack `[..., n+1, m+1]`) in the input's
    element type; with return_info=True also an `Info`. Warns with
    ConvergenceWarning when not converged.
    """
    names, arrays = gather(
        (
            ("matrix", matrix),
            ("row_marginal", row_marginal),
            ("col_marginal", col_marginal),
            ("row_init", row_init),
            ("col_init", col_init),
            ("row_mask", row_mask),
            ("col_mask", col_mask),
            ("slack", slack),
            ("epsilon", as_temperature(temperature)),
        )
    )
    given = (
        preset, input, map, shift, standardize, entry_eps, normalize_total, start,
        output, scale, anneal, extrapolate, rows, cols, order, stop, half_steps, tol,
        max_half_steps, domain, accumulate, strict, products,
    )  # fmt: skip

    def make() -> Kind:
        attributes = resolve(
            "project",
            dict(zip(PROJECT_ATTRIBUTES, given)),
            default_stop=PROJECT_STOP,
        )
        return Kind(
            "project",
            TRANSPORT,
            (Result("nm", "storage", 1), *REPORT),
            lambda w, types: op_lines("project", 4, types, attributes),
            attributes.accumulate,
            attributes.is_best,
        )

    plan, *report = call(("project", names, given), make, names, arrays)
    return (plan, info_of(report)) if return_info else plan


#: The arithmetic of potentials: like `sinkhorn`, with the potentials given.
_POTENTIALS = (
    *(operand for operand in TRANSPORT if operand.name != "slack"),
    Operand("f", "n"),
    Operand("g", "m"),
    Operand("operand_nk", "nk", "storage", argument="operand"),
    Operand("operand_mk", "mk", "storage", argument="operand"),
)


def _default_temperature(preset: Any) -> float:
    """The ε of the preset's form."""
    if preset is None:
        return 1.0
    _, fields = _parse(ATTRIBUTES[getattr(preset, "value", preset)]["form"])
    return float(fields.get("epsilon", 1.0))


def _log_plan_lines(
    w: Writer, types: dict[str, str], head: str, default_epsilon: float
) -> list[str]:
    """%X, %F, %G so that the plan is exp(F_i + X_ij + G_j), from %f and %g."""
    element, factor = w.element("storage"), w.element("factor")
    lines = []
    scale = [("", w.operands["epsilon"][1])] if "epsilon" in types else []
    scale_in = ", %epsilon" if scale else ""
    scale_type = f", {types['epsilon']}" if scale else ""
    scale_arg = f", %e: {factor}" if scale else ""
    if not scale:
        lines.append(f"  %e = arith.constant {float_text(default_epsilon)} : {factor}")

    def pointwise(name: str, source: str, source_type: str, tail: str,
                  own: str, body: list[str]) -> None:  # fmt: skip
        out = w.type(tail, "factor")
        batched = w.operands[source][1] if source in w.operands else True
        maps = w.maps([(tail, batched), *scale, (tail, True)], tail)
        lines.extend(w.empty(f"{name}_empty", tail, "factor"))
        lines.append(
            f"  %{name} = linalg.generic {maps} ins(%{source}{scale_in} : {source_type}"
            f"{scale_type}) outs(%{name}_empty : {out}) {{\n"
            f"  ^bb0(%a: {own}{scale_arg}, %old: {factor}):\n"
            + "\n".join(f"    {line}" for line in body)
            + f"\n    linalg.yield %x : {factor}\n  }} -> {out}"
        )

    body = []
    wide = "%a"
    if element != factor:
        body.append(f"%w = arith.extf %a : {element} to {factor}")
        wide = "%w"
    if head == "kernel":
        body.append(f"%x = math.log {wide} : {factor}")
    else:
        body.append(f"%q = arith.divf {wide}, %e : {factor}")
        if head == "cost":
            body.append(f"%x = arith.negf %q : {factor}")
        else:
            body[-1] = body[-1].replace("%q =", "%x =")
    pointwise("X", "matrix", types["matrix"], "nm", element, body)
    for name, tail in (("f", "n"), ("g", "m")):
        own_type = types.get(name, w.type(tail, "factor"))
        divide = [f"%x = arith.divf %a, %e : {factor}"]
        pointwise(name.upper(), name, own_type, tail, factor, divide)
    return lines


def _times_epsilon(
    w: Writer, types: dict[str, str], value: str, type: str
) -> list[str]:
    """%D, the value per problem times ε."""
    factor = w.element("factor")
    maps, ins, ins_types, arguments = [("", True)], value, type, f"%a: {factor}"
    if "epsilon" in types:
        maps.append(("", w.operands["epsilon"][1]))
        ins, ins_types = f"{ins}, %epsilon", f"{ins_types}, {types['epsilon']}"
        arguments += f", %t: {factor}"
    scale = "%t" if "epsilon" in types else "%e"
    return [
        *w.empty("D_empty", "", "factor"),
        f"  %D = linalg.generic {w.maps([*maps, ('', True)], '')} ins({ins} : "
        f"{ins_types}) outs(%D_empty : {type}) {{\n"
        f"  ^bb0({arguments}, %old: {factor}):\n"
        f"    %x = arith.mulf %a, {scale} : {factor}\n"
        f"    linalg.yield %x : {factor}\n  }} -> {type}",
    ]


def _potential_kind(
    op: str,
    given: tuple,
    names: tuple,
    results: tuple[Result, ...],
    consume: Any,
) -> Kind:
    """An op on a plan: of given potentials, or of those that are found first."""
    has_potentials = "f" in names
    attributes = _resolve_sinkhorn(given)
    default = _default_temperature(given[0])

    def body(w: Writer, types: dict[str, str]) -> tuple[list[str], list[str]]:
        lines, report = [], []
        if not has_potentials:
            solver = {name: type for name, type in types.items()
                      if not name.startswith("operand")}  # fmt: skip
            line, values = op_lines("sinkhorn", 5, solver, attributes)
            line[0] = line[0].replace("%r:5 =", "%f, %g, %steps, %residual, %status =")
            lines += line
            report = ["%steps", "%residual", "%status"]
        lines += _log_plan_lines(w, types, attributes.input, default)
        more, values = consume(w, types)
        return [*lines, *more], [*values, *report]

    return Kind(
        op,
        _POTENTIALS,
        results if has_potentials else (*results, *REPORT),
        body,
        attributes.accumulate,
        attributes.is_best,
    )


def _potentials(f: Any, g: Any) -> tuple[Any, Any]:
    if isinstance(f, SinkhornResult):
        if g is not None:
            raise TypeError("g: f is a result of sinkhorn, which has a g of its own")
        return f.f, f.g
    if (f is None) != (g is None):
        missing = "f" if f is None else "g"
        raise TypeError(f"{missing}: f and g go together, only one was given")
    return f, g


def _plan_inputs(w: Writer, types: dict[str, str]) -> str:
    return (
        f"domain(log) matrix(%X : {w.type('nm', 'factor')}) "
        f"row(%F : {w.type('n', 'factor')}) col(%G : {w.type('m', 'factor')})"
    )


def plan(
    matrix: ArrayLike,
    f: ArrayLike | SinkhornResult | None = None,
    g: ArrayLike | None = None,
    *,
    preset: Preset | str | None = None,
    input: str | None = None,
    temperature: ArrayLike | None = None,
    row_marginal: ArrayLike | None = None,
    col_marginal: ArrayLike | None = None,
    row_init: ArrayLike | None = None,
    col_init: ArrayLike | None = None,
    row_mask: ArrayLike | None = None,
    col_mask: ArrayLike | None = None,
    output: str = "plan",
    map: str | None = None,
    shift: str | None = None,
    normalize_total: float | None = None,
    start: str | None = None,
    anneal: Any = None,
    extrapolate: bool | None = None,
    rows: Rule | str | None = None,
    cols: Rule | str | None = None,
    order: str | None = None,
    stop: Stop | None = None,
    half_steps: int | None = None,
    tol: float | None = None,
    max_half_steps: int | None = None,
    domain: str | None = None,
    accumulate: str | None = None,
    strict: bool | None = None,
    products: str | None = None,
    return_info: bool = False,
) -> Any:
    """The transport plan P_ij = exp((f_i + g_j − C_ij)/ε).

    Of the potentials f `[..., n]`, g `[..., m]` (or what `sinkhorn` returned, in
    place of f), with the matrix, input and temperature they were made with; or,
    without potentials, of those that `sinkhorn` finds for the same arguments.

    output: "plan" or "log_plan".

    Returns the plan `[..., n, m]` in the matrix' element type; with
    return_info=True also an `Info`, or None where potentials were given.
    """
    if isinstance(f, SinkhornResult) and return_info:
        info = f.info
    else:
        info = None
    f, g = _potentials(f, g)
    names, arrays = gather(
        (
            ("matrix", matrix),
            ("row_marginal", row_marginal),
            ("col_marginal", col_marginal),
            ("row_init", row_init),
            ("col_init", col_init),
            ("row_mask", row_mask),
            ("col_mask", col_mask),
            ("epsilon", as_temperature(temperature)),
            ("f", f),
            ("g", g),
        )
    )
    given = (
        preset, input, map, shift, normalize_total, start, anneal, extrapolate, rows,
        cols, order, stop, half_steps, tol, max_half_steps, domain, accumulate, strict,
        products,
    )  # fmt: skip

    def make() -> Kind:
        word = one_of("output", output, ("plan", "log_plan"))
        _refuse_unused(names)

        def consume(w: Writer, types: dict[str, str]) -> tuple[list[str], list[str]]:
            out = w.type("nm", "storage")
            logarithm = "logarithm " if word == "log_plan" else ""
            inputs = _plan_inputs(w, types).replace("log)", f"log) {logarithm}", 1)
            return [
                *w.empty("P_empty", "nm", "storage"),
                f"  %P = scaling.plan {inputs} outs(%P_empty : {out}) -> {out}",
            ], ["%P"]

        return _potential_kind(
            "plan", given, names, (Result("nm", "storage"),), consume
        )

    result, *report = call(("plan", names, output, given), make, names, arrays)
    if not return_info:
        return result
    return result, info_of(report) if report else info


def _refuse_unused(names: tuple, used: tuple = ()) -> None:
    if "f" in names:
        for name in ("row_marginal", "col_marginal", "row_init", "col_init",
                     "row_mask", "col_mask"):  # fmt: skip
            if name in names and name not in used:
                raise ValueError(f"{name}: the potentials are given, it has no use")


APPLY_KINDS = ("product", "value", "mass", "argmax", "dual")


def apply(
    matrix: ArrayLike,
    operand: ArrayLike | None = None,
    f: ArrayLike | SinkhornResult | None = None,
    g: ArrayLike | None = None,
    *,
    kind: str = "product",
    transposed: bool = False,
    preset: Preset | str | None = None,
    input: str | None = None,
    temperature: ArrayLike | None = None,
    row_marginal: ArrayLike | None = None,
    col_marginal: ArrayLike | None = None,
    row_init: ArrayLike | None = None,
    col_init: ArrayLike | None = None,
    row_mask: ArrayLike | None = None,
    col_mask: ArrayLike | None = None,
    map: str | None = None,
    shift: str | None = None,
    normalize_total: float | None = None,
    start: str | None = None,
    anneal: Any = None,
    extrapolate: bool | None = None,
    rows: Rule | str | None = None,
    cols: Rule | str | None = None,
    order: str | None = None,
    stop: Stop | None = None,
    half_steps: int | None = None,
    tol: float | None = None,
    max_half_steps: int | None = None,
    domain: str | None = None,
    accumulate: str | None = None,
    strict: bool | None = None,
    products: str | None = None,
    return_info: bool = False,
) -> Any:
    """What the transport plan does, without making it; potentials as in `plan`.

    kind: "product": P·V for an operand V `[..., m, k]` gives `[..., n, k]`; with
            `transposed` Pᵀ·V for V `[..., n, k]`.
        "value": the transport value Σ P_ij C_ij with the matrix as C, `[...]`.
        "mass": Σ P_ij, `[...]`.
        "dual": the dual value, `[...]`, for which both marginals a, b are needed:
            Σ a_i (f_i − ε log a_i) + Σ b_j (g_j − ε log b_j) + ε Σ (a_i b_j − P_ij),
            the least ⟨P, C⟩ + ε KL(P | a bᵀ) where the potentials are a solution.
        "argmax": the largest entry of every row and its column, `[..., n]` each.

    Returns the array (argmax: two); with return_info=True also an `Info`, or None
    where potentials were given.
    """
    info = f.info if isinstance(f, SinkhornResult) else None
    f, g = _potentials(f, g)
    one_of("kind", kind, APPLY_KINDS)
    flag("transposed", transposed)
    if (operand is None) == (kind == "product"):
        needed = "is needed" if operand is None else "has no use"
        raise ValueError(f"operand: with kind {kind!r} it {needed}")
    names, arrays = gather(
        (
            ("matrix", matrix),
            ("row_marginal", row_marginal),
            ("col_marginal", col_marginal),
            ("row_init", row_init),
            ("col_init", col_init),
            ("row_mask", row_mask),
            ("col_mask", col_mask),
            ("epsilon", as_temperature(temperature)),
            ("f", f),
            ("g", g),
            (
                "operand_nk" if transposed else "operand_mk",
                None if operand is None else array_of("operand", operand),
            ),
        )
    )
    given = (
        preset, input, map, shift, normalize_total, start, anneal, extrapolate, rows,
        cols, order, stop, half_steps, tol, max_half_steps, domain, accumulate, strict,
        products,
    )  # fmt: skip

    def make() -> Kind:
        weights = ("row_marginal", "col_marginal") if kind == "dual" else ()
        _refuse_unused(names, weights)
        for name in weights:
            if name not in names:
                raise ValueError(f"{name}: with kind 'dual' it is needed")
        results = {
            "product": (Result("mk" if transposed else "nk", "storage"),),
            "value": (Result("", "factor"),),
            "mass": (Result("", "factor"),),
            "dual": (Result("", "factor"),),
            "argmax": (Result("n", "factor"), Result("n", "i64")),
        }[kind]

        def consume(w: Writer, types: dict[str, str]) -> tuple[list[str], list[str]]:
            zero = "-1.0" if kind == "argmax" else "0.0"
            lines, outs, out_types = [], [], []
            for i, result in enumerate(results):
                value = "-1" if result.kind == "i64" else zero
                # Sums over many entries are made in the wider type.
                lines += w.filled(f"out{i}", result.tail, result.kind, value)
                outs.append(f"%out{i}")
                out_types.append(w.type(result.tail, result.kind))
            other = ""
            if kind == "product":
                name = names[-1]
                other = f" operand(%{name} : {types[name]})"
            elif kind == "value":
                other = f" operand(%matrix : {types['matrix']})"
            elif kind == "dual":
                other = (
                    f" row_weight(%row_marginal : {types['row_marginal']}) "
                    f"col_weight(%col_marginal : {types['col_marginal']})"
                )
            name = "product transposed" if transposed else kind
            values = [f"%p#{i}" for i in range(len(results))]
            lines.append(
                f"  %p:{len(results)} = scaling.apply {name} {_plan_inputs(w, types)}"
                f"{other} outs({', '.join(outs)} : {', '.join(out_types)}) -> "
                f"{', '.join(out_types)}"
            )
            if kind == "dual":
                # In units of the cost.
                lines += _times_epsilon(w, types, "%p#0", out_types[0])
                values = ["%D"]
            return lines, values

        return _potential_kind("apply", given, names, results, consume)

    key = ("apply", names, kind, bool(transposed), given)
    results = call(key, make, names, arrays)
    count = 2 if kind == "argmax" else 1
    if len(results) > count:
        info = info_of(results[count:])
    values: Any = tuple(results[:2]) if count == 2 else results[0][()]
    return (values, info) if return_info else values
