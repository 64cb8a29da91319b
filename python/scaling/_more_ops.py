"""The functions that are not a transport problem by themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._attributes import Rule, Stop, float_text, number, one_of, resolve
from ._calls import REPORT, Info, Kind, Operand, Result, Writer, call
from ._ops import (
    _FORM,
    _NUMERICS,
    _RULES,
    Array,
    BalanceResult,
    SinkhornResult,
    _gather,
    _info,
    _op_lines,
    _plan_inputs,
    _potential_kind,
    _potentials,
    _refuse_unused,
    _temperature,
)
from .presets import Preset

BALANCE_STOP = Stop.until(1e-5, axis="rows", norm="linf")
ATTENTION_STOP = Stop.fixed(3)
METRICS = ("sqeuclidean", "euclidean", "l1", "dot", "cosine")
APPLY_KINDS = ("product", "value", "mass", "argmax")


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
    return_info: bool = False,
) -> Any:
    """What the transport plan does, without making it; potentials as in `plan`.

    kind: "product": P·V for an operand V `[..., m, k]` gives `[..., n, k]`; with
            `transposed` Pᵀ·V for V `[..., n, k]`.
        "value": the transport value Σ P_ij C_ij with the matrix as C, `[...]`.
        "mass": Σ P_ij, `[...]`.
        "argmax": the largest entry of every row and its column, `[..., n]` each.

    Returns the array (argmax: two); with return_info=True also an `Info`, or None
    where potentials were given.
    """
    info = f.info if isinstance(f, SinkhornResult) else None
    f, g = _potentials(f, g)
    if (operand is None) == (kind == "product"):
        needed = "is needed" if operand is None else "has no use"
        raise ValueError(f"operand: with kind {kind!r} it {needed}")
    names, arrays = _gather(
        (
            ("matrix", matrix),
            ("row_marginal", row_marginal),
            ("col_marginal", col_marginal),
            ("row_init", row_init),
            ("col_init", col_init),
            ("row_mask", row_mask),
            ("col_mask", col_mask),
            ("epsilon", _temperature(temperature)),
            ("f", f),
            ("g", g),
            ("operand_nk" if transposed else "operand_mk", operand),
        )
    )
    given = (
        preset, input, map, shift, normalize_total, start, anneal, extrapolate, rows,
        cols, order, stop, half_steps, tol, max_half_steps, domain, accumulate, strict,
    )  # fmt: skip

    def make() -> Kind:
        word = one_of("kind", kind, APPLY_KINDS)
        _refuse_unused(names)
        results = {
            "product": (Result("mk" if transposed else "nk", "storage"),),
            "value": (Result("", "factor"),),
            "mass": (Result("", "factor"),),
            "argmax": (Result("n", "factor"), Result("n", "i64")),
        }[word]

        def consume(w: Writer, types: dict[str, str]) -> tuple[list[str], list[str]]:
            zero = "-1.0" if word == "argmax" else "0.0"
            lines, outs, out_types = [], [], []
            for i, result in enumerate(results):
                value = "-1" if result.kind == "i64" else zero
                # Sums over many entries are made in the wider type.
                lines += w.filled(f"out{i}", result.tail, result.kind, value)
                outs.append(f"%out{i}")
                out_types.append(w.type(result.tail, result.kind))
            other = ""
            if word == "product":
                name = names[-1]
                other = f" operand(%{name} : {types[name]})"
            elif word == "value":
                other = f" operand(%matrix : {types['matrix']})"
            name = "product transposed" if transposed else word
            values = [f"%p#{i}" for i in range(len(results))]
            lines.append(
                f"  %p:{len(results)} = scaling.apply {name} {_plan_inputs(w, types)}"
                f"{other} outs({', '.join(outs)} : {', '.join(out_types)}) -> "
                f"{', '.join(out_types)}"
            )
            return lines, values

        return _potential_kind("apply", given, names, results, consume)

    key = ("apply", names, kind, bool(transposed), given)
    results = call(key, make, names, arrays)
    count = 2 if kind == "argmax" else 1
    if len(results) > count:
        info = _info(results[count:])
    values: Any = tuple(results[:2]) if count == 2 else results[0][()]
    return (values, info) if return_info else values


def pairwise(x: ArrayLike, y: ArrayLike, metric: str = "sqeuclidean") -> Array:
    """The cost between every two points of x `[..., n, d]` and y `[..., m, d]`.

    metric: "sqeuclidean" Σ(x−y)², "euclidean" its root, "l1" Σ|x−y|, "dot" Σxy,
        "cosine" 1 − xy/(‖x‖‖y‖).

    Returns `[..., n, m]` in the points' element type.
    """
    names, arrays = _gather((("x", x), ("y", y)), required=2)

    def make() -> Kind:
        word = one_of("metric", metric, METRICS)

        def body(w: Writer, types: dict[str, str]) -> tuple[list[str], list[str]]:
            out = w.type("nm", "storage")
            return [
                *w.empty("empty", "nm", "storage"),
                f"  %C = scaling.pairwise {word} points(%x, %y : {types['x']}, "
                f"{types['y']}) outs(%empty : {out}) -> {out}",
            ], ["%C"]

        points = (Operand("x", "nd", "storage"), Operand("y", "md", "storage"))
        return Kind("pairwise", points, (Result("nm", "storage"),), body)

    (result,) = call(("pairwise", names, metric), make, names, arrays)
    return result


_NORMALIZE_ATTRIBUTES = ("input", *_FORM, "rule", *_NUMERICS)


def normalize(
    matrix: ArrayLike,
    axis: str = "rows",
    *,
    input: str | None = None,
    temperature: ArrayLike | None = None,
    target: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    map: str | None = None,
    shift: str | None = None,
    standardize: bool | None = None,
    entry_eps: float | None = None,
    normalize_total: float | None = None,
    output: str | None = None,
    scale: str | None = None,
    rule: Rule | str | None = None,
    domain: str | None = None,
    accumulate: str | None = None,
    strict: bool | None = None,
    return_info: bool = False,
) -> Any:
    """One half-step along one axis; of logits, along rows, it is softmax.

    axis: "rows" (every row's statistic becomes its target) or "cols".
    input: "logits" (default), "cost" or "kernel" (the matrix as it is).
    target `[..., n]` of rows, `[..., m]` of columns; default 1.
    mask: booleans of the other axis, True takes part.
    rule: a `Rule`, or the name of a statistic.

    Returns the matrix `[..., n, m]` in its element type; with return_info=True
    also None: a single half-step reports nothing, and a row that cannot be
    normalized comes out as NaN.
    """
    one_of("axis", axis, ("rows", "cols"))
    own, other = ("row", "col") if axis == "rows" else ("col", "row")
    names, arrays = _gather(
        (
            ("matrix", matrix),
            (f"{own}_target", target),
            (f"{other}_mask", mask),
            ("epsilon", _temperature(temperature)),
        )
    )
    given = (
        input, map, shift, standardize, entry_eps, normalize_total, None, output, scale,
        None, None, rule, domain, accumulate, strict,
    )  # fmt: skip

    def make() -> Kind:
        attributes = resolve(
            "normalize",
            dict(zip(_NORMALIZE_ATTRIBUTES, given)),
            default_stop=BALANCE_STOP,
            fields=("form", "rule", "numerics"),
        )

        def body(w: Writer, types: dict[str, str]) -> tuple[list[str], list[str]]:
            lines, values = _op_lines(
                "normalize", 1, types, attributes, f"along({axis}) "
            )
            for keyword in ("target", "mask"):
                for side in ("row", "col"):
                    lines[0] = lines[0].replace(f" {side}_{keyword}(", f" {keyword}(")
            return lines, values

        operands = (
            Operand("matrix", "nm", "storage"),
            Operand("row_target", "n"),
            Operand("col_target", "m"),
            Operand("row_mask", "n", "mask"),
            Operand("col_mask", "m", "mask"),
            Operand("epsilon", ""),
        )
        return Kind("normalize", operands, (Result("nm", "storage"),), body,
                    attributes.accumulate)  # fmt: skip

    (result,) = call(("normalize", axis, names, given), make, names, arrays)
    return (result, None) if return_info else result


_BALANCE_ATTRIBUTES = ("preset", *_RULES, "accumulate", "strict")
_BALANCE_OPERANDS = (
    Operand("matrix", "nm", "storage"),
    Operand("row_target", "n"),
    Operand("col_target", "m"),
    Operand("row_init", "n"),
    Operand("col_init", "m"),
    Operand("row_mask", "n", "mask"),
    Operand("col_mask", "m", "mask"),
)


def balance(
    matrix: ArrayLike,
    *,
    preset: Preset | str | None = None,
    row_target: ArrayLike | None = None,
    col_target: ArrayLike | None = None,
    row_init: ArrayLike | None = None,
    col_init: ArrayLike | None = None,
    row_mask: ArrayLike | None = None,
    col_mask: ArrayLike | None = None,
    rows: Rule | str | None = None,
    cols: Rule | str | None = None,
    order: str | None = None,
    stop: Stop | None = None,
    half_steps: int | None = None,
    tol: float | None = None,
    max_half_steps: int | None = None,
    accumulate: str | None = None,
    strict: bool | None = None,
) -> BalanceResult:
    """Row and column factors that even out a matrix of any sign.

    matrix `[..., n, m]`; targets `[..., n]`, `[..., m]` of the statistics, which
    the rules name: `rows="linf"` scales rows by their largest magnitude.
    preset: "ruiz" (Ruiz, 2001), "sinq", "geequb" and others; "gebal" (LAPACK's
        similarity D⁻¹AD, square matrices) takes no other attribute.

    Without a preset: sums of magnitudes (l1) become 1, until none is off by more
    than 1e-5.

    Returns an object with `.matrix` (in its element type), `.row_scale`,
    `.col_scale` (f64 for f64, else f32) and `.info`.
    """
    given = (
        preset, rows, cols, order, stop, half_steps, tol, max_half_steps, accumulate,
        strict,
    )  # fmt: skip
    names, arrays = _gather(
        (
            ("matrix", matrix),
            ("row_target", row_target),
            ("col_target", col_target),
            ("row_init", row_init),
            ("col_init", col_init),
            ("row_mask", row_mask),
            ("col_mask", col_mask),
        )
    )
    if getattr(preset, "value", preset) == "gebal":
        return _similarity(given[1:], names, arrays)

    def make() -> Kind:
        chosen = dict(zip(_BALANCE_ATTRIBUTES, given))
        if preset is None:
            for axis in ("rows", "cols"):
                if chosen[axis] is None:
                    chosen[axis] = Rule("l1")
        attributes = resolve(
            "balance",
            chosen,
            default_stop=BALANCE_STOP,
            fields=("rows", "cols", "order", "stop", "numerics"),
        )

        def body(w: Writer, types: dict[str, str]) -> tuple[list[str], list[str]]:
            lines, values = _op_lines("balance", 5, types, attributes)
            out, row, col = (
                w.type("nm", "storage"), w.type("n", "factor"), w.type("m", "factor"),
            )  # fmt: skip
            lines += w.empty("B_empty", "nm", "storage")
            lines.append(
                f"  %B = scaling.plan domain(kernel) matrix(%matrix : {types['matrix']})"
                f" row(%r#0 : {row}) col(%r#1 : {col}) outs(%B_empty : {out}) -> {out}"
            )
            return lines, ["%B", *values]

        results = (Result("nm", "storage"), Result("n", "factor"),
                   Result("m", "factor"), *REPORT)  # fmt: skip
        return Kind("balance", _BALANCE_OPERANDS, results, body,
                    attributes.accumulate, attributes.is_best)  # fmt: skip

    balanced, u, v, *report = call(("balance", names, given), make, names, arrays)
    return BalanceResult(balanced, u, v, _info(report))


def _similarity(given: tuple, names: tuple, arrays: list) -> BalanceResult:
    others = [n for n, v in zip(_BALANCE_ATTRIBUTES[1:], given) if v is not None]
    others += names[1:]
    if others:
        raise ValueError(f"{others[0]}: the preset 'gebal' takes the matrix only")
    if arrays[0].ndim < 2 or arrays[0].shape[-1] != arrays[0].shape[-2]:
        raise ValueError(
            f"matrix: the shape is {arrays[0].shape}, gebal needs square matrices"
        )

    def make() -> Kind:
        def body(w: Writer, types: dict[str, str]) -> tuple[list[str], list[str]]:
            line = (
                f"  %r:4 = scaling.similarity_balance matrix(%matrix : "
                f"{types['matrix']}) preset(gebal)"
            )
            # Its residual is not measured.
            lines = [line, *w.filled("none", "", "factor", "-1.0")]
            return lines, ["%r#0", "%r#1", "%r#2", "%none", "%r#3"]

        results = (Result("nm", "storage"), Result("n", "storage"), *REPORT)
        return Kind("balance", _BALANCE_OPERANDS, results, body)

    balanced, scale, *report = call(("gebal",), make, names, arrays)
    return BalanceResult(balanced, 1 / scale, scale, _info(report))


_ATTENTION_ATTRIBUTES = ("preset", *_FORM, *_RULES, *_NUMERICS)
_ATTENTION = (
    Operand("query", "nd", "storage"),
    Operand("key", "md", "storage"),
    Operand("value", "mk", "storage"),
    Operand("bias", "nm", "storage"),
    Operand("row_mask", "n", "mask"),
    Operand("col_mask", "m", "mask"),
    Operand("epsilon", ""),
)


def attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    preset: Preset | str | None = None,
    temperature: ArrayLike | None = None,
    row_mask: ArrayLike | None = None,
    col_mask: ArrayLike | None = None,
    logit_scale: float | None = None,
    map: str | None = None,
    shift: str | None = None,
    normalize_total: float | None = None,
    start: str | None = None,
    scale: str | None = None,
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
    return_info: bool = False,
) -> Any:
    """Doubly stochastic attention: P·V with P the projection of QKᵀ/√d + bias.

    query `[..., n, d]`, key `[..., m, d]`, value `[..., m, k]`, bias `[..., n, m]`;
    row_mask `[..., n]` of queries, col_mask `[..., m]` of keys, True takes part.
    logit_scale replaces 1/√d; temperature divides the logits.

    Without attributes it is Sinkformer's (Sander et al., 2022, preset
    "sinkformer"): three half-steps, uniform marginals, the plan times m. With
    half_steps=1, rows="sum" and scale="one" it is softmax attention.

    Returns `[..., n, k]` in the common element type; with return_info=True also
    an `Info`.
    """
    names, arrays = _gather(
        (
            ("query", query),
            ("key", key),
            ("value", value),
            ("bias", bias),
            ("row_mask", row_mask),
            ("col_mask", col_mask),
            ("epsilon", _temperature(temperature)),
        ),
        required=3,
    )
    if preset is None:
        preset = "sinkformer"
    given = (
        preset, map, shift, None, None, normalize_total, start, None, scale, None, None,
        rows, cols, order, stop, half_steps, tol, max_half_steps, domain, accumulate,
        strict,
    )  # fmt: skip

    def make() -> Kind:
        attributes = resolve(
            "attention",
            dict(zip(_ATTENTION_ATTRIBUTES, given)),
            default_stop=ATTENTION_STOP,
        )

        def body(w: Writer, types: dict[str, str]) -> tuple[list[str], list[str]]:
            lines, values = _op_lines("attention", 4, types, attributes)
            if logit_scale is not None:
                factor = float_text(number("logit_scale", logit_scale))
                lines[0] += f" logit_scale({factor} : f64)"
            return lines, values

        return Kind("attention", _ATTENTION, (Result("nk", "storage"), *REPORT), body,
                    attributes.accumulate, attributes.is_best)  # fmt: skip

    output, *report = call(
        ("attention", names, logit_scale, given), make, names, arrays
    )
    return (output, _info(report)) if return_info else output
