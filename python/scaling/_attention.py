"""From points: costs, and doubly stochastic attention."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from ._attributes import Rule, Stop, float_text, number, one_of, resolve
from ._calls import REPORT, Kind, Operand, Result, Writer, call
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

METRICS = ("sqeuclidean", "euclidean", "l1", "dot", "cosine")


def pairwise(x: ArrayLike, y: ArrayLike, metric: str = "sqeuclidean") -> Array:
    """The cost between every two points of x `[..., n, d]` and y `[..., m, d]`.

    metric: "sqeuclidean" Σ(x−y)², "euclidean" its root, "l1" Σ|x−y|, "dot" Σxy,
        "cosine" 1 − xy/(‖x‖‖y‖).

    Returns `[..., n, m]` in the points' element type.
    """
    names, arrays = gather((("x", x), ("y", y)), required=2)

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


ATTENTION_STOP = Stop.fixed(3)
_ATTENTION_ATTRIBUTES = ("preset", *FORM, *RULES, *NUMERICS)
ATTENTION = (
    Operand("query", "nd", "storage"),
    Operand("key", "md", "storage"),
    Operand("value", "mk", "storage"),
    Operand("bias", "nm", "storage"),
    Operand("row_mask", "n", "mask"),
    Operand("col_mask", "m", "mask"),
    Operand("epsilon", "", argument="temperature"),
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
    entry_eps: float | None = None,
    normalize_total: float | None = None,
    start: str | None = None,
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
    names, arrays = gather(
        (
            ("query", query),
            ("key", key),
            ("value", value),
            ("bias", bias),
            ("row_mask", row_mask),
            ("col_mask", col_mask),
            ("epsilon", as_temperature(temperature)),
        ),
        required=3,
    )
    if preset is None:
        preset = "sinkformer"
    given = (
        preset, map, shift, None, entry_eps, normalize_total, start, None, scale,
        anneal, extrapolate, rows, cols, order, stop, half_steps, tol, max_half_steps, domain, accumulate,
        strict, products,
    )  # fmt: skip

    def make() -> Kind:
        attributes = resolve(
            "attention",
            dict(zip(_ATTENTION_ATTRIBUTES, given)),
            default_stop=ATTENTION_STOP,
        )

        def body(w: Writer, types: dict[str, str]) -> tuple[list[str], list[str]]:
            lines, values = op_lines("attention", 4, types, attributes)
            if logit_scale is not None:
                factor = float_text(number("logit_scale", logit_scale))
                lines[0] += f" logit_scale({factor} : f64)"
            return lines, values

        return Kind("attention", ATTENTION, (Result("nk", "storage"), *REPORT), body,
                    attributes.accumulate, attributes.is_best)  # fmt: skip

    output, *report = call(
        ("attention", names, logit_scale, given), make, names, arrays
    )
    return (output, info_of(report)) if return_info else output
