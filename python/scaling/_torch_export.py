"""From a PyTorch model to MLIR with ops of the dialect in it; see scaling.torch.

torch.export gives a graph, torch-mlir's importer the torch dialect, in which ops
of scaling.torch are `torch.operator`. Its passes to linalg know nothing to do
with these, but let calls pass: each op becomes a call of a private function that
is only declared, and says in attributes what it stands for. What comes out is
printed in generic form, which another version of MLIR reads, and
`--scaling-import-calls` makes ops of the calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from . import _core
from ._attention import ATTENTION
from ._gradients import split_gradient
from ._operands import TRANSPORT

_OPERANDS = {"project": TRANSPORT, "sinkhorn": TRANSPORT, "attention": ATTENTION}

#: torch-mlir's way from its backend form to linalg on tensors, but for the
#: check at its end, which refuses calls.
_TO_LINALG = ",".join(
    [
        "func.func(torch-restructure-non-constant-axes,torch-fuse-quantized-ops,"
        "convert-torch-to-tmtensor,canonicalize,convert-torch-to-linalg,canonicalize,"
        "convert-torch-to-scf,convert-torch-to-arith,convert-torch-to-tensor)",
        "convert-torch-conversion-to-mlprogram",
        "func.func(canonicalize,resolve-shaped-type-result-dims,cse)",
        "torch-func-backend-type-conversion",
        "func.func(canonicalize,torch-finalizing-backend-type-conversion)",
    ]
)
_PASSES = (
    "builtin.module(func.func(torch-match-quantized-custom-ops),"
    "torchdynamo-export-to-torch-backend-pipeline{backend-legal-ops= extra-library=},"
    f"{_TO_LINALG})"
)
#: Dialects that the text may not be left in.
_FOREIGN = ("torch", "torch_c", "tm_tensor")


class ExportError(ValueError):
    """A model that does not become MLIR; the message says at what."""


def export_mlir(
    model: torch.nn.Module | torch.export.ExportedProgram,
    args: Sequence[Any] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    name: str = "main",
) -> str:
    """A model as MLIR text on builtin tensors, with `scaling` ops in it.

    model: a module, or what torch.export.export made of one. Weights become
        constants of the text. It is exported in the mode it is in: call
        `eval()` first, as a rule.
    args, kwargs: example inputs, as torch.export takes them.
    dynamic_shapes: which sizes are open, as torch.export takes it:
        `{"x": {0: torch.export.Dim("batch")}}`. They are `?` in the text.
    name: what the function is called.

    The text is a program for `scaling.compile`, scaling-opt, scaling-compile
    and scaling-run: everything but the scaling ops is `linalg` on tensors.

        text = scaling.torch.export_mlir(model, (x,))
        y = scaling.compile(text).main(x.numpy())

    Needs torch-mlir: pip install torch-mlir. Raises ExportError, a ValueError,
    where torch-mlir cannot lower an op of the model.
    """
    try:
        from torch_mlir import fx
    except ImportError as error:
        raise ImportError(
            "scaling.torch.export_mlir needs torch-mlir: pip install torch-mlir"
        ) from error

    if isinstance(model, torch.export.ExportedProgram):
        if args or kwargs or dynamic_shapes is not None:
            raise TypeError(
                "args, kwargs and dynamic_shapes: an exported program has its own"
            )
        program = model
    elif isinstance(model, torch.nn.Module):
        if isinstance(args, torch.Tensor):
            raise TypeError("args: a tuple of inputs is needed, one tensor was given")
        with torch.no_grad():
            program = torch.export.export(
                model, tuple(args), kwargs, dynamic_shapes=dynamic_shapes
            )
    else:
        raise TypeError(
            "model: a torch.nn.Module or torch.export.ExportedProgram is needed, "
            f"{type(model).__name__} was given"
        )
    module = fx.export_and_import(program, output_type="raw", func_name=name)
    with module.context:
        _replace_operators(module)
        _run(module, _PASSES)
        _check(module)
        text = module.operation.get_asm(print_generic_op_form=True)
    result, messages = _core.transform(
        text, name, "scaling-import-calls,canonicalize,cse"
    )
    # A call that stays is as good as an error: nobody defines its function.
    if result is None or messages:
        raise ExportError(messages.rstrip())
    return result


def _replace_operators(module: Any) -> None:
    """Calls of declarations in the place of the ops of scaling.torch."""
    from torch_mlir import ir
    from torch_mlir.dialects import func

    found = []

    def visit(op: Any) -> Any:
        if op.name == "torch.operator":
            qualified = ir.StringAttr(op.attributes["name"]).value
            if qualified.startswith("torch.scaling."):
                found.append((op, qualified.removeprefix("torch.scaling.")))
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for index, (op, name) in enumerate(found):
        if name not in _OPERANDS:
            raise ExportError(
                f"the op scaling::{name} has no form in MLIR; there is one of "
                + ", ".join(_OPERANDS)
            )
        *tensors, text = op.operands
        given = [
            (operand.name, tensor)
            for operand, tensor in zip(_OPERANDS[name], tensors)
            # The owner of an argument is a block.
            if getattr(tensor.owner, "name", "") != "torch.constant.none"
        ]
        values = [tensor for _, tensor in given]
        type = ir.FunctionType.get(
            [value.type for value in values], [result.type for result in op.results]
        )
        with op.location:
            with ir.InsertionPoint(module.body):
                target = func.FuncOp(
                    f"scaling.{name}.{index}", type, visibility="private"
                )
            target.attributes["scaling.op"] = ir.StringAttr.get(name)
            target.attributes["scaling.operands"] = ir.ArrayAttr.get(
                [ir.StringAttr.get(operand) for operand, _ in given]
            )
            attributes = ir.StringAttr(text.owner.attributes["value"]).value
            target.attributes["scaling.attributes"] = ir.StringAttr.get(
                split_gradient(attributes)[0]
            )
            with ir.InsertionPoint(op):
                call = func.CallOp(target, values)
        for old, new in zip(op.results, call.results):
            old.replace_all_uses_with(new)
        op.erase()


def _run(module: Any, passes: str) -> None:
    from torch_mlir import ir
    from torch_mlir.passmanager import PassManager

    try:
        PassManager.parse(passes).run(module.operation)
    except ir.MLIRError as error:
        # The first error says it; the operation as it is printed behind it is
        # not the user's.
        first = next(iter(error.error_diagnostics), None)
        raise ExportError(f"torch-mlir: {first.message if first else error}") from None


def _check(module: Any) -> None:
    """No op is left that only torch-mlir knows."""
    from torch_mlir import ir

    left = set()

    def visit(op: Any) -> Any:
        if op.name.partition(".")[0] in _FOREIGN:
            left.add(op.name)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    if left:
        raise ExportError(f"torch-mlir has no linalg form of {', '.join(sorted(left))}")
