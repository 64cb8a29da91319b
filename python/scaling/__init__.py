"""Matrix scaling, compiled for the machine it runs on.

import numpy as np, scaling

cost = np.random.rand(512, 512)
result = scaling.sinkhorn(cost, temperature=0.05)
p = scaling.plan(cost, result, temperature=0.05)
"""

from ._attention import attention, pairwise
from ._attributes import Rule, Stop
from ._calls import ConvergenceWarning, Info, Status
from ._normalize import BalanceResult, balance, normalize
from ._programs import CompileError, cache_directory, compile
from ._threads import get_num_threads, set_num_threads
from ._transport import SinkhornResult, apply, plan, project, sinkhorn
from ._vjp import vjp
from .presets import Preset

__version__ = "0.1.0"

__all__ = [
    "BalanceResult",
    "CompileError",
    "ConvergenceWarning",
    "Info",
    "Preset",
    "Rule",
    "SinkhornResult",
    "Status",
    "Stop",
    "apply",
    "attention",
    "balance",
    "cache_directory",
    "compile",
    "get_num_threads",
    "normalize",
    "pairwise",
    "plan",
    "project",
    "set_num_threads",
    "sinkhorn",
    "vjp",
]
