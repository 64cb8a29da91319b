"""Half-steps and balancing: a matrix in, a scaled matrix out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from ._attributes import Rule, Stop, count, one_of, resolve
from ._calls import REPORT, Info, Kind, Operand, Result, Writer, array_of, call
from ._operands import (
    FORM,
    NUMERICS,
    RULES,
    Array,
    as_temperature,
    gather,
    info_of,
    op_lines,
)
from .presets import Preset

BALANCE_STOP = Stop.until(1e-5, axis="rows", norm="linf")


@dataclass(frozen=True, slots=True)
class BalanceResult:
    """matrix `[..., n, m]` = row_scale_i · A_ij · col_scale_j."""

    matrix: Array
    row_scale: Array
    col_scale: Array
    info: Info


_NORMALIZE_ATTRIBUTES = ("preset", "input", *FORM, "rule", *NUMERICS)


def normalize(
    matrix: ArrayLike,
    axis: str = "rows",
    *,
    preset: Preset | str | None = None,
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
    products: str | None = None,
    return_info: bool = False,
) -> Any:
    """One half-step along one axis; of logits, along rows, it is softmax.

    axis: "rows" (every row's statistic becomes its target) or "cols".
    preset: a published convention of `project`, of which this is the first
        half-step along the axis.
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
    names, arrays = gather(
        (
            ("matrix", matrix),
            (f"{own}_target", None if target is None else array_of("target", target)),
            (f"{other}_mask", None if mask is None else array_of("mask", mask)),
            ("epsilon", as_temperature(temperature)),
        )
    )
    given = (
        preset, input, map, shift, standardize, entry_eps, normalize_total, None,
        output, scale, None, None, rule, domain, accumulate, strict, products,
    )  # fmt: skip

    def make() -> Kind:
        attributes = resolve(
            "normalize",
            dict(zip(_NORMALIZE_ATTRIBUTES, given)),
            default_stop=BALANCE_STOP,
            fields=("form", "rule", "numerics"),
            axis=axis,
        )

        def body(w: Writer, types: dict[str, str]) -> tuple[list[str], list[str]]:
            lines, values = op_lines(
                "normalize", 1, types, attributes, f"along({axis}) "
            )
            for keyword in ("target", "mask"):
                for side in ("row", "col"):
                    lines[0] = lines[0].replace(f" {side}_{keyword}(", f" {keyword}(")
            return lines, values

        operands = (
            Operand("matrix", "nm", "storage"),
            Operand("row_target", "n", argument="target"),
            Operand("col_target", "m", argument="target"),
            Operand("row_mask", "n", "mask", argument="mask"),
            Operand("col_mask", "m", "mask", argument="mask"),
            Operand("epsilon", "", argument="temperature"),
        )
        return Kind("normalize", operands, (Result("nm", "storage"),), body,
                    attributes.accumulate)  # fmt: skip

    (result,) = call(("normalize", axis, names, given), make, names, arrays)
    return (result, None) if return_info else result


_BALANCE_ATTRIBUTES = ("preset", *RULES, "accumulate", "strict", "products")
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
    products: str | None = None,
) -> BalanceResult:
    """Row and column factors that even out a matrix of any sign.

    matrix `[..., n, m]`; targets `[..., n]`, `[..., m]` of the statistics, which
    the rules name: `rows="linf"` scales rows by their largest magnitude.
    preset: "ruiz" (Ruiz, 2001), "sinq", "geequb" and others; "gebal" (LAPACK's
        similarity D⁻¹AD, square matrices) takes no attribute but max_half_steps,
        the limit of its sweeps (100).

    Without a preset: sums of magnitudes (l1) become 1, until none is off by more
    than 1e-5.

    Returns an object with `.matrix` (in its element type), `.row_scale`,
    `.col_scale` (f64 for f64, else f32) and `.info`.
    """
    given = (
        preset, rows, cols, order, stop, half_steps, tol, max_half_steps, accumulate,
        strict, products,
    )  # fmt: skip
    names, arrays = gather(
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
        key, make = _similarity(given, names, arrays)
        balanced, scale, *report = call(key, make, names, arrays)
        return BalanceResult(balanced, 1 / scale, scale, info_of(report))

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
            lines, values = op_lines("balance", 5, types, attributes)
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
    return BalanceResult(balanced, u, v, info_of(report))


def _similarity(
    given: tuple, names: tuple, arrays: list
) -> tuple[tuple, Callable[[], Kind]]:
    """The call for the preset "gebal"."""
    attributes = dict(zip(_BALANCE_ATTRIBUTES, given))
    limit = attributes.pop("max_half_steps")
    others = [n for n, v in attributes.items() if v is not None and n != "preset"]
    others += names[1:]
    if others:
        raise ValueError(
            f"{others[0]}: the preset 'gebal' takes the matrix and max_half_steps only"
        )
    if limit is not None and count("max_half_steps", limit) == 0:
        raise ValueError("max_half_steps: 0 was given, 'gebal' needs 1 at least")
    if arrays[0].ndim < 2 or arrays[0].shape[-1] != arrays[0].shape[-2]:
        raise ValueError(
            f"matrix: the shape is {arrays[0].shape}, gebal needs square matrices"
        )

    def make() -> Kind:
        def body(w: Writer, types: dict[str, str]) -> tuple[list[str], list[str]]:
            line = (
                f"  %r:4 = scaling.similarity_balance matrix(%matrix : "
                f"{types['matrix']}) preset(gebal)"
                + ("" if limit is None else f" limit({limit})")
            )
            # Its residual is not measured.
            lines = [line, *w.filled("none", "", "factor", "-1.0")]
            return lines, ["%r#0", "%r#1", "%r#2", "%none", "%r#3"]

        results = (Result("nm", "storage"), Result("n", "storage"), *REPORT)
        return Kind("balance", _BALANCE_OPERANDS, results, body)

    return ("gebal", limit), make
