"""What the functions share: their operands and groups of attributes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._arrays import Foreign, as_array
from ._attributes import Attributes
from ._calls import Info, Operand, array_of

Array = NDArray[Any]
FORM = (
    "map", "shift", "standardize", "entry_eps", "normalize_total", "start", "output",
    "scale", "anneal", "extrapolate",
)  # fmt: skip
RULES = ("rows", "cols", "order", "stop", "half_steps", "tol", "max_half_steps")
NUMERICS = ("domain", "accumulate", "strict", "products")
MATRIX = Operand("matrix", "nm", "storage")
TRANSPORT = (
    MATRIX,
    Operand("row_marginal", "n", with_slack=1),
    Operand("col_marginal", "m", with_slack=1),
    Operand("row_init", "n", with_slack=1),
    Operand("col_init", "m", with_slack=1),
    Operand("row_mask", "n", "mask", with_slack=1),
    Operand("col_mask", "m", "mask", with_slack=1),
    Operand("slack", ""),
    Operand("epsilon", "", argument="temperature"),
)


def info_of(report: Any) -> Info:
    half_steps, residual, status = report
    # Arrays of rank 0 become numbers.
    return Info(half_steps[()], residual[()], status[()])


def gather(pairs: tuple, required: int = 1) -> tuple[tuple, list]:
    """The operands that were given: their names, and arrays. The first ones are
    required."""
    names, arrays = [], []
    for name, value in pairs[:required]:
        if value is None:
            raise TypeError(f"{name}: an array is needed, None was given")
    for name, value in pairs:
        if value is not None:
            names.append(name)
            arrays.append(array_of(name, value))
    return tuple(names), arrays


def as_temperature(value: Any) -> Any:
    """A number must be positive; of an array each problem's status tells."""
    if type(value) is float:
        if 0 < value < math.inf:
            return np.float64(value)
    elif value is None or isinstance(value, np.ndarray) and value.ndim:
        return value
    elif isinstance(value, Foreign):
        return value
    else:
        array = as_array("temperature", value)
        if array.ndim:
            return array
        if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
            raise TypeError(f"temperature: a number is needed, {value!r} was given")
        value = float(array)
        if 0 < value < math.inf:
            return np.float64(value)
    raise ValueError(f"temperature: {value} was given, allowed is above 0, finite")


def op_lines(
    op: str,
    results: int,
    types: dict[str, str],
    attributes: Attributes,
    extra: str = "",
) -> tuple[list[str], list[str]]:
    """A named op on operands that carry its own keywords."""
    keyword = {} if op == "balance" else {"matrix": attributes.input}
    given = " ".join(
        f"{keyword.get(name, name)}(%{name} : {type})" for name, type in types.items()
    )
    values = [f"%r#{i}" for i in range(results)] if results > 1 else ["%r"]
    head = f"%r:{results}" if results > 1 else "%r"
    line = f"  {head} = scaling.{op} {extra}{given} {attributes.text}"
    return [line], values
