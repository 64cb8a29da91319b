"""Matrix scaling for PyTorch, on CPU tensors.

The ops `torch.ops.scaling.{project,sinkhorn,attention}` are registered with
shapes for tracing, gradients, batching and autocast; the functions here make
their attributes from keywords. They work under torch.compile(fullgraph=True),
torch.export and torch.vmap; torch.func.grad knows no gradients of library ops.

    import torch, scaling.torch

    p = scaling.torch.project(torch.randn(3, 4, 4), preset="mhc")

Autocast computes in float32. All operands but masks have gradients, the
temperature too: those of the half-steps that were taken. There are none of second
order, and none of iterations that stop with "best".
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

try:
    import torch
except ImportError as error:
    raise ImportError(
        "scaling.torch needs PyTorch: pip install 'scaling[torch]'"
    ) from error
from torch.autograd.forward_ad import unpack_dual

from ._attention import ATTENTION, ATTENTION_STOP
from ._attributes import Attributes, float_text, number, resolve
from ._calls import REPORT, Kind, Operand, Result, call
from ._gradients import call_vjp, split_gradient, with_gradient
from ._operands import TRANSPORT, op_lines
from ._torch_export import ExportError, export_mlir
from ._torch_modules import (
    HyperConnection,
    LogOptimalTransport,
    SinkhornAttention,
    SinkhornProject,
)
from ._transport import (
    PROJECT_ATTRIBUTES,
    PROJECT_STOP,
    SINKHORN_ATTRIBUTES,
    SINKHORN_STOP,
)

__all__ = [
    "Attended",
    "ExportError",
    "HyperConnection",
    "LogOptimalTransport",
    "Potentials",
    "Projected",
    "SinkhornAttention",
    "SinkhornProject",
    "attention",
    "export_mlir",
    "project",
    "sinkhorn",
]


class _Op:
    """One op: its schema, how it is computed, and what its results look like."""

    def __init__(
        self, name: str, operands: Sequence[Operand], results: Sequence[Result]
    ) -> None:
        self.name = name
        self.operands = tuple(operands)
        self.results = (*results, *REPORT)
        #: The letters of the sizes, each with an operand that shows it.
        self.sources = {
            letter: (i, j - len(operand.tail))
            for i, operand in reversed(list(enumerate(operands)))
            for j, letter in enumerate(operand.tail)
        }
        required = 3 if name == "attention" else 1
        parameters = ", ".join(
            f"Tensor{'' if i < required else '?'} {operand.name}"
            for i, operand in enumerate(operands)
        )
        returns = ", ".join(["Tensor"] * len(self.results))
        #: How many results have cotangents.
        self.count = len(results)
        cotangents = ", ".join(f"Tensor? cotangent{i}" for i in range(self.count))
        backward = f"{name}_backward"
        _define(
            name,
            f"({parameters}, str attributes) -> ({returns})",
            self.compute,
            self.shapes,
            self.batch,
        )
        _define(
            backward,
            f"({parameters}, {cotangents}, str attributes, int[] wrt) -> Tensor[]",
            self.compute_gradients,
            self.gradient_shapes,
            self.batch_gradients,
        )
        torch.library.register_autocast(
            f"scaling::{name}", "cpu", torch.float32, lib=_library
        )
        torch.library.register_autograd(
            f"scaling::{name}", self.backward, setup_context=self.keep, lib=_library
        )
        torch.library.register_autograd(
            f"scaling::{backward}",
            self.second_order,
            setup_context=_no_context,
            lib=_library,
        )
        self.overload = getattr(torch.ops.scaling, name).default
        self.gradients = getattr(torch.ops.scaling, backward).default

    def prepare(
        self, tensors: Sequence[torch.Tensor | None], text: str
    ) -> tuple[tuple, Any, tuple, list[np.ndarray]]:
        """The arguments of `call`."""
        text, _ = split_gradient(text)
        names = tuple(
            operand.name
            for operand, tensor in zip(self.operands, tensors)
            if tensor is not None
        )
        arrays = [_to_numpy(tensor) for tensor in tensors if tensor is not None]

        def make() -> Kind:
            attributes = Attributes.parse(text)
            results = len(self.results)
            return Kind(
                self.name,
                self.operands,
                self.results,
                lambda w, types: op_lines(self.name, results, types, attributes),
                attributes.accumulate,
                attributes.is_best,
            )

        return ("torch", self.name, names, text), make, names, arrays

    def compute(self, *args: Any) -> tuple[torch.Tensor, ...]:
        *tensors, text = args
        return tuple(map(_from_numpy, call(*self.prepare(tensors, text))))

    def compute_gradients(self, *args: Any) -> list[torch.Tensor]:
        *tensors, text, wrt = args
        tensors, cotangents = tensors[: -self.count], tensors[-self.count :]
        gradients = call_vjp(
            *self.prepare(tensors, text),
            [self.operands[i].name for i in wrt],
            [None if c is None else _to_numpy(c) for c in cotangents],
            split_gradient(text)[1],
        )
        return list(map(_from_numpy, gradients))

    def shapes(self, *args: Any) -> tuple[torch.Tensor, ...]:
        *tensors, text = args
        given = [
            (operand, tensor)
            for operand, tensor in zip(self.operands, tensors)
            if tensor is not None
        ]
        batch = torch.broadcast_shapes(
            *[
                tensor.shape[: tensor.dim() - len(operand.tail)]
                for operand, tensor in given
            ]
        )
        dtype = tensors[0].dtype
        for operand, tensor in given:
            if operand.kind == "storage":
                dtype = torch.promote_types(dtype, tensor.dtype)
        if not dtype.is_floating_point:
            dtype = torch.float64
        wide = Attributes.parse(text).accumulate == "f64" or dtype == torch.float64
        dtypes = {
            "storage": dtype,
            "factor": torch.float64 if wide else torch.float32,
            "i32": torch.int32,
        }
        slack = any(operand.name == "slack" for operand, _ in given)
        results = []
        for result in self.results:
            tail = []
            for letter in result.tail:
                operand, dim = self.sources[letter]
                tail.append(
                    tensors[operand].shape[dim] + (result.with_slack if slack else 0)
                )
            results.append(
                tensors[0].new_empty((*batch, *tail), dtype=dtypes[result.kind])
            )
        return tuple(results)

    def gradient_shapes(self, *args: Any) -> list[torch.Tensor]:
        *tensors, _, wrt = args
        return [tensors[i].new_empty(tensors[i].shape) for i in wrt]

    def in_front(
        self, in_dims: Sequence[int | None], tensors: Sequence[torch.Tensor | None]
    ) -> list[torch.Tensor | None]:
        """The batch dimension of those that have one in front of all others."""
        ranks = [
            tensor.dim() - len(operand.tail) - (dim is not None)
            for operand, tensor, dim in zip(self.operands, tensors, in_dims)
            if tensor is not None
        ]
        moved = []
        for operand, tensor, dim in zip(self.operands, tensors, in_dims):
            if tensor is not None and dim is not None:
                tensor = tensor.movedim(dim, 0)
                own = tensor.dim() - 1 - len(operand.tail)
                # Batch dimensions go together from the right.
                for _ in range(max(ranks) - own):
                    tensor = tensor.unsqueeze(1)
            moved.append(tensor)
        return moved

    def batch(self, info: Any, in_dims: tuple, *args: Any) -> Any:
        """A batch dimension more, in front: ops have any number of them."""
        *tensors, text = args
        results = self.overload(*self.in_front(in_dims, tensors), text)
        return results, (0,) * len(results)

    def batch_gradients(self, info: Any, in_dims: tuple, *args: Any) -> Any:
        *tensors, text, wrt = args
        dims = list(in_dims)
        # Each element of the batch has its own gradient, of what is shared too.
        cotangents = range(len(self.operands), len(tensors))
        for i in [*wrt, *cotangents]:
            if tensors[i] is not None and dims[i] is None:
                tensors[i] = tensors[i].expand(info.batch_size, *tensors[i].shape)
                dims[i] = 0
        shapes = [tensors[i].movedim(dims[i], 0).shape for i in wrt]
        moved = self.in_front(dims, tensors[: len(self.operands)])
        for i in cotangents:
            c = tensors[i]
            moved.append(None if c is None else c.movedim(dims[i], 0))
        gradients = self.gradients(*moved, text, wrt)
        results = [g.reshape(shape) for g, shape in zip(gradients, shapes)]
        return results, [0] * len(results)

    def keep(self, ctx: Any, inputs: Any, output: Any) -> None:
        *tensors, ctx.attributes = inputs
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        # Half-steps, residual and status.
        ctx.mark_non_differentiable(*output[self.count :])

    def backward(self, ctx: Any, *grads: Any) -> Any:
        tensors = ctx.saved_tensors
        cotangents = grads[: self.count]
        wrt = [i for i in range(len(tensors)) if ctx.needs_input_grad[i]]
        found: list[torch.Tensor | None] = [None] * (len(tensors) + 1)
        if wrt and any(c is not None for c in cotangents):
            gradients = self.gradients(*tensors, *cotangents, ctx.attributes, wrt)
            for i, gradient in zip(wrt, gradients):
                found[i] = gradient
        return tuple(found)

    def second_order(self, ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError(
            f"scaling::{self.name} has no second derivatives: its gradient cannot be "
            "differentiated"
        )


def _define(name: str, signature: str, compute: Any, shapes: Any, batch: Any) -> None:
    """An op of the library: on the CPU, in traces, and under vmap."""
    qualified = f"scaling::{name}"
    _library.define(name + signature, tags=(torch.Tag.pt2_compliant_tag,))
    _library.impl(name, compute, "CPU")
    torch.library.register_fake(qualified, shapes, lib=_library)
    torch.library.register_vmap(qualified, batch, lib=_library)


def _no_context(ctx: Any, inputs: Any, output: Any) -> None:
    """A backward that only raises needs nothing."""


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _from_numpy(array: np.ndarray) -> torch.Tensor:
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


_library = torch.library.Library("scaling", "DEF")
_project = _Op("project", TRANSPORT, [Result("nm", "storage", 1)])
_sinkhorn = _Op(
    "sinkhorn", TRANSPORT, [Result("n", "factor", 1), Result("m", "factor", 1)]
)
_attention = _Op("attention", ATTENTION, [Result("nk", "storage")])


class Projected(NamedTuple):
    """A plan, and how the iteration ended; see `scaling.Info`."""

    plan: torch.Tensor
    half_steps: torch.Tensor
    residual: torch.Tensor
    status: torch.Tensor


class Potentials(NamedTuple):
    """Potentials, and how the iteration ended."""

    f: torch.Tensor
    g: torch.Tensor
    half_steps: torch.Tensor
    residual: torch.Tensor
    status: torch.Tensor


class Attended(NamedTuple):
    """The output of attention, and how the iteration ended."""

    output: torch.Tensor
    half_steps: torch.Tensor
    residual: torch.Tensor
    status: torch.Tensor


def _operands(
    like: torch.Tensor, given: dict[str, Any], required: int = 1
) -> list[torch.Tensor | None]:
    """Tensors on the CPU, numbers turned into tensors. The first ones are
    required."""
    tensors: list[torch.Tensor | None] = []
    for name, value in given.items():
        if value is None and len(tensors) < required:
            raise TypeError(f"{name}: a tensor is needed, None was given")
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and name in ("temperature", "slack"):
            if name == "temperature" and not 0 < value < math.inf:
                raise ValueError(
                    f"temperature: {value} was given, allowed is above 0, finite"
                )
            value = torch.full((), value, dtype=torch.float64, device=like.device)
        if value is not None:
            if not isinstance(value, torch.Tensor):
                raise TypeError(
                    f"{name}: a tensor is needed, {type(value).__name__} was given"
                )
            _check_tensor(name, value)
            if value.dim() and value.device != like.device:
                raise ValueError(
                    f"{name}: the tensor is on {value.device}, {next(iter(given))} on "
                    f"{like.device}"
                )
        tensors.append(value)
    return tensors


_DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool,
    torch.int8, torch.int16, torch.int32, torch.int64,
    torch.uint8, torch.uint16, torch.uint32, torch.uint64,
)  # fmt: skip


def _check_tensor(name: str, tensor: torch.Tensor) -> None:
    """Refuses what no program takes."""
    if tensor.device.type not in ("cpu", "meta"):
        raise ValueError(
            f"{name}: the tensor is on {tensor.device}; only the CPU is possible"
        )
    if tensor.is_nested:
        raise TypeError(f"{name}: a nested tensor was given, a dense one is needed")
    if tensor.layout != torch.strided:
        raise TypeError(
            f"{name}: the tensor's layout is {tensor.layout}; to_dense() makes one "
            "that is possible"
        )
    if tensor.dtype not in _DTYPES:
        raise TypeError(
            f"{name}: the element type is {tensor.dtype}, allowed are "
            "float64, float32, float16, bfloat16 and integers"
        )
    # The library would go on without the tangent. Compilers have no duals.
    if not torch.compiler.is_compiling() and unpack_dual(tensor).tangent is not None:
        raise NotImplementedError(
            f"{name}: a dual tensor was given; there are no derivatives in forward "
            "mode, only backward"
        )


def _text(
    op: str,
    attributes: dict[str, Any],
    allowed: Sequence[str],
    **how: Any,
) -> str:
    for name in attributes:
        if name not in allowed:
            raise TypeError(f"{op} has no attribute {name!r}; there are {allowed}")
    return resolve(op, attributes, **how).text


def check_attributes(function: Callable[..., Any], attributes: dict[str, Any]) -> None:
    """Refuses, for a layer that will call the function, what is no attribute of it.
    What the function has a parameter for is looked at when it is called."""
    known = inspect.signature(function).parameters
    attributes = {k: v for k, v in attributes.items() if k not in known}
    if function is attention:
        _attention_text(attributes)
    else:
        _project_text(attributes)


def _project_text(attributes: dict[str, Any]) -> str:
    return _text("project", attributes, PROJECT_ATTRIBUTES, default_stop=PROJECT_STOP)


def project(
    matrix: torch.Tensor,
    *,
    temperature: torch.Tensor | float | None = None,
    row_marginal: torch.Tensor | None = None,
    col_marginal: torch.Tensor | None = None,
    row_init: torch.Tensor | None = None,
    col_init: torch.Tensor | None = None,
    row_mask: torch.Tensor | None = None,
    col_mask: torch.Tensor | None = None,
    slack: torch.Tensor | float | None = None,
    gradient: str = "unrolled",
    return_info: bool = False,
    **attributes: Any,
) -> Any:
    """`scaling.project` on tensors `[..., n, m]`; the same keywords.

    gradient: "unrolled" or "implicit", the `mode` of `scaling.vjp`.

    Returns the plan; with return_info=True a `Projected`.
    """
    text = with_gradient(_project_text(attributes), gradient)
    given = {
        "matrix": matrix, "row_marginal": row_marginal, "col_marginal": col_marginal,
        "row_init": row_init, "col_init": col_init, "row_mask": row_mask,
        "col_mask": col_mask, "slack": slack, "temperature": temperature,
    }  # fmt: skip
    results = torch.ops.scaling.project(*_operands(matrix, given), text)
    return Projected(*results) if return_info else results[0]


def sinkhorn(
    matrix: torch.Tensor,
    row_marginal: torch.Tensor | None = None,
    col_marginal: torch.Tensor | None = None,
    *,
    temperature: torch.Tensor | float | None = None,
    row_init: torch.Tensor | None = None,
    col_init: torch.Tensor | None = None,
    row_mask: torch.Tensor | None = None,
    col_mask: torch.Tensor | None = None,
    slack: torch.Tensor | float | None = None,
    gradient: str = "unrolled",
    **attributes: Any,
) -> Potentials:
    """`scaling.sinkhorn` on tensors `[..., n, m]`; the same keywords, and `gradient`
    as in `project`."""
    text = _text(
        "sinkhorn",
        attributes,
        SINKHORN_ATTRIBUTES,
        default_input="cost",
        default_target="uniform",
        default_stop=SINKHORN_STOP,
    )
    text = with_gradient(text, gradient)
    given = {
        "matrix": matrix, "row_marginal": row_marginal, "col_marginal": col_marginal,
        "row_init": row_init, "col_init": col_init, "row_mask": row_mask,
        "col_mask": col_mask, "slack": slack, "temperature": temperature,
    }  # fmt: skip
    return Potentials(*torch.ops.scaling.sinkhorn(*_operands(matrix, given), text))


_ATTENTION_ATTRIBUTES = tuple(
    name
    for name in PROJECT_ATTRIBUTES
    if name not in ("input", "standardize", "output")
)


def _attention_text(attributes: dict[str, Any]) -> str:
    attributes = {"preset": "sinkformer"} | attributes
    return _text(
        "attention", attributes, _ATTENTION_ATTRIBUTES, default_stop=ATTENTION_STOP
    )


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    temperature: torch.Tensor | float | None = None,
    row_mask: torch.Tensor | None = None,
    col_mask: torch.Tensor | None = None,
    logit_scale: float | None = None,
    gradient: str = "unrolled",
    return_info: bool = False,
    **attributes: Any,
) -> Any:
    """`scaling.attention` on tensors; the same keywords, and `gradient` as in
    `project`.

    Returns the output `[..., n, k]`; with return_info=True an `Attended`.
    """
    text = _attention_text(attributes)
    if logit_scale is not None:
        text += f" logit_scale({float_text(number('logit_scale', logit_scale))} : f64)"
    text = with_gradient(text, gradient)
    given = {
        "query": query, "key": key, "value": value, "bias": bias, "row_mask": row_mask,
        "col_mask": col_mask, "temperature": temperature,
    }  # fmt: skip
    results = torch.ops.scaling.attention(*_operands(query, given, required=3), text)
    return Attended(*results) if return_info else results[0]
