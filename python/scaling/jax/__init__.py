"""Matrix scaling for JAX, on the CPU.

    import jax, scaling.jax

    p = jax.jit(lambda x: scaling.jax.project(x, preset="mhc"))(x)

`project`, `sinkhorn`, `attention`, `plan`, `apply`, `pairwise`, `normalize` and
`balance` take the arguments of the functions of the same name in `scaling`, and
return JAX arrays. They work under jit, vmap and grad, and in f64 where
jax_enable_x64 is set. Their programs are compiled when JAX compiles, by shape
class, and kept in the cache that `scaling` has.

Values do not warn: what did not converge says so in the status that
`return_info=True` gives. All operands but masks have gradients: those that the
keyword `gradient` says, the `mode` of `scaling.vjp`, by itself "unrolled"; of
"implicit" a ConvergenceWarning says where they are unrolled. There are none of second
order, no forward mode, and none of iterations that stop with "best".

`scaling.jax.composite` has the same for every backend of JAX, and for everything
else that reads StableHLO.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise ImportError("scaling.jax needs JAX: pip install 'scaling[jax]'") from error

try:
    from .. import _jax as _extension  # noqa: F401
except ImportError as error:
    raise ImportError(
        "scaling.jax is not part of this build of scaling: jaxlib was missing when it "
        "was made; install it and build scaling again"
    ) from error

from .. import _attention, _normalize, _transport
from .._calls import Info
from .._gradients import UNROLLED, Mode
from .._normalize import BalanceResult
from .._transport import SinkhornResult
from ._primitive import JaxArray

__all__ = [
    "apply",
    "attention",
    "balance",
    "normalize",
    "pairwise",
    "plan",
    "project",
    "sinkhorn",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")

for _result, _fields in (
    (Info, ("half_steps", "residual", "status")),
    (SinkhornResult, ("f", "g", "info")),
    (BalanceResult, ("matrix", "row_scale", "col_scale", "info")),
):
    jax.tree_util.register_dataclass(_result, data_fields=_fields, meta_fields=())


def on_jax(
    function: Callable[_P, _R], module: str, array: type[JaxArray]
) -> Callable[_P, _R]:
    """The function with its arrays replaced by JAX's."""
    signature = inspect.signature(function)
    parameters = {
        name
        for name, parameter in signature.parameters.items()
        if "ArrayLike" in str(parameter.annotation)
    }

    def enter(name: str, value: Any, mode: Mode) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, SinkhornResult):
            f, g = enter("f", value.f, mode), enter("g", value.g, mode)
            return replace(value, f=f, g=g)
        try:
            entered = array(jnp.asarray(value))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error
        entered.mode = mode
        return entered

    @functools.wraps(function)
    def wrapped(*args: _P.args, **keywords: _P.kwargs) -> _R:
        mode = UNROLLED
        # Composites have the gradients of plain code.
        if "gradient" in keywords and array is JaxArray:
            mode = Mode(keywords.pop("gradient"), argument="gradient")
        try:
            bound = signature.bind(*args, **keywords)
        except TypeError as error:
            raise TypeError(f"{module}.{function.__name__}: {error}") from error
        for name, value in bound.arguments.items():
            if name in parameters:
                bound.arguments[name] = enter(name, value, mode)
        return function(*bound.args, **bound.kwargs)

    wrapped.__module__ = module
    wrapped.__doc__ = f"`scaling.{function.__name__}` on JAX arrays.\n\n" + (
        function.__doc__ or ""
    )
    return wrapped


apply = on_jax(_transport.apply, __name__, JaxArray)
attention = on_jax(_attention.attention, __name__, JaxArray)
balance = on_jax(_normalize.balance, __name__, JaxArray)
normalize = on_jax(_normalize.normalize, __name__, JaxArray)
pairwise = on_jax(_attention.pairwise, __name__, JaxArray)
plan = on_jax(_transport.plan, __name__, JaxArray)
project = on_jax(_transport.project, __name__, JaxArray)
sinkhorn = on_jax(_transport.sinkhorn, __name__, JaxArray)
