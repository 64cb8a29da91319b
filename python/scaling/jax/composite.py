"""Matrix scaling for JAX on any backend, and for everything that reads StableHLO.

    import scaling.jax.composite as portable

    p = portable.project(x, preset="mhc")

`project`, `sinkhorn` and `attention` take the arguments of the functions of the
same name in `scaling.jax`. Each is one `stablehlo.composite` of the name
"scaling.project" and so on, whose decomposition is the plain recurrence: whoever
does not know the name runs that, and `scaling-opt --scaling-import-stablehlo`
makes our op of it. Under jit, vmap and grad, forward mode excepted.

The recurrence takes plain half-steps: where the op over-relaxes, it may take more
of them until a tolerance is met. The gradient of an "until" looks at all half-steps
up to its limit. What the recurrence does not have is a ValueError: iterations with
"best", statistics other than sums, start potentials, annealing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax

from .. import _attention, _transport
from .._calls import Layout
from . import _recurrence, on_jax
from ._primitive import Call, JaxArray, stand_in, whole_batches

__all__ = ["attention", "project", "sinkhorn"]

_OPERAND = re.compile(r"(\w+)\(%(\w+) : tensor<[^>]*>\) ")
_OPERANDS = (
    "matrix", "row_marginal", "col_marginal", "slack", "epsilon", "query", "key", "value",
    "bias", "row_mask", "col_mask",
)  # fmt: skip


class _Plain(JaxArray):
    """An array on its way to a composite."""

    @staticmethod
    def run(call: Call, batch_dims: int, *arrays: Any) -> tuple:
        unknown = [name for name in call.names if name not in _OPERANDS]
        if unknown:
            raise ValueError(f"{unknown[0]}: composites have no such operand")
        operands = zip(call.operands, arrays)
        stand_ins = [stand_in(call, o, array, batch_dims) for o, array in operands]
        layout = Layout(("composite", call.key), call.kind, call.names, stand_ins)
        (line,), _ = call.kind.body(layout.writer, layout.types)
        keywords = " ".join(keyword for keyword, _ in _OPERAND.findall(line))
        text = line[list(_OPERAND.finditer(line))[-1].end() :]
        _recurrence.check(text, "row_mask" in call.names or "col_mask" in call.names)
        return _run(call, text, keywords, batch_dims, *arrays)


def _bind(call: Call, text: str, keywords: str, batch_dims: int, *arrays: Any) -> tuple:
    """The composite; where it is batched, one of more batch dimensions."""

    def decomposition(*arrays: Any, **_: Any) -> tuple:
        return _recurrence.decompose(call, text, batch_dims, False, *arrays)

    @jax.custom_batching.custom_vmap
    def bind(*arrays: Any) -> tuple:
        composite = jax.lax.composite(
            decomposition, name=f"scaling.{call.kind.op}", version=1
        )
        return tuple(composite(*arrays, attributes=text, operands=keywords))

    @bind.def_vmap
    def batch(_: int, batched: Sequence[bool], *arrays: Any) -> tuple:
        moved = [array if has else array[None] for array, has in zip(arrays, batched)]
        moved = whole_batches(call, moved, batch_dims + 1)
        results = _bind(call, text, keywords, batch_dims + 1, *moved)
        return results, tuple(True for _ in results)

    return bind(*arrays)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def _run(call: Call, text: str, keywords: str, batch_dims: int, *arrays: Any) -> tuple:
    return _bind(call, text, keywords, batch_dims, *arrays)


def _forward(
    call: Call, text: str, keywords: str, batch_dims: int, *arrays: Any
) -> tuple:
    return _run(call, text, keywords, batch_dims, *arrays), arrays


def _backward(
    call: Call, text: str, _: str, batch_dims: int, arrays: tuple, cotangents: tuple
) -> tuple:
    plain = partial(_recurrence.decompose, call, text, batch_dims, True)
    return jax.vjp(plain, *arrays)[1](cotangents)


_run.defvjp(_forward, _backward)


attention = on_jax(_attention.attention, __name__, _Plain)
project = on_jax(_transport.project, __name__, _Plain)
sinkhorn = on_jax(_transport.sinkhorn, __name__, _Plain)
