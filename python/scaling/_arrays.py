"""From what callers have to NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Floats that the compiler stores, by NumPy's name, and what MLIR calls them.
FLOATS = {"float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16"}


class Foreign:
    """An array of another library, with `dtype`, `shape` and `ndim`, that calls
    are computed by in a way of its own."""

    def call(self, key: tuple, make: Any, names: tuple, arrays: Any) -> tuple:
        """The results of a call in which this is the first array; see
        `_calls.call`."""
        raise NotImplementedError


def as_array(name: str, value: Any) -> np.ndarray:
    """The value as an array, without a copy where there is one already."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: masked arrays are not taken; give the array as it is, and "
            "row_mask or col_mask where whole rows or columns are left out"
        )
    if isinstance(value, (np.ndarray, Foreign)):
        return value
    if hasattr(value, "__dlpack__") and not isinstance(value, np.generic):
        return _from_dlpack(name, value)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if array.dtype == object:
        raise TypeError(f"{name}: {type(value).__name__} is not an array of numbers")
    return array


def _from_dlpack(name: str, value: Any) -> np.ndarray:
    try:
        device, _ = value.__dlpack_device__()
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: only arrays in CPU memory are possible: {error}"
        ) from None
    if int(device) != 1:
        raise ValueError(
            f"{name}: the array is on DLPack device type {int(device)}; "
            "only CPU memory is possible (move it there first)"
        )
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(
            f"{name}: NumPy cannot take this {type(value).__name__}: {error}"
        ) from None


def native(name: str, array: np.ndarray) -> np.ndarray:
    """Elements in the machine's byte order; floats that are stored as they are,
    all other numbers as f64."""
    dtype = array.dtype
    if dtype.name in FLOATS:
        return array if dtype.isnative else array.astype(dtype.newbyteorder("="))
    if dtype.kind in "iub":
        return array.astype(np.float64)
    raise TypeError(
        f"{name}: the element type is {dtype}, allowed are float64, float32, "
        "float16, bfloat16 and integers"
    )
