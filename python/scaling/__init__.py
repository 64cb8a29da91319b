"""Matrix scaling, compiled for the machine it runs on.

import numpy as np, scaling

cost = np.random.rand(512, 512)
result = scaling.sinkhorn(cost, temperature=0.05)
p = scaling.plan(cost, result, temperature=0.05)
"""

from ._attributes import Rule, Stop
from ._calls import ConvergenceWarning, Info, Status
from ._core import get_num_threads, set_num_threads
from ._more_ops import apply, attention, balance, normalize, pairwise
from ._ops import BalanceResult, SinkhornResult, plan, project, sinkhorn
from ._programs import CompileError, cache_directory, compile
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
]
