"""NumPy float64 reference of the scaling dialect; the oracle of its tests.

`iterate` states docs/semantics.md; `presets` states every preset a second time,
straight from its origin, so that the two can be compared.
"""

from .forms import Form, ProjectResult, SinkhornResult, log_plan, plan
from .forms import project, sinkhorn
from .iterate import CONVERGED, DIVERGED, FIXED, LIMIT, IterateResult, iterate
from .ops import (
    AttentionResult,
    SimilarityResult,
    apply,
    attention,
    balance,
    dual_value,
    mass,
    normalize,
    pairwise,
    row_argmax,
    similarity_balance,
    softmax,
    transport_cost,
)
from .rules import Rule, Stop, best, fixed, statistic, until

__all__ = [
    "AttentionResult",
    "CONVERGED",
    "DIVERGED",
    "FIXED",
    "Form",
    "IterateResult",
    "LIMIT",
    "ProjectResult",
    "Rule",
    "SimilarityResult",
    "SinkhornResult",
    "Stop",
    "apply",
    "attention",
    "balance",
    "best",
    "dual_value",
    "fixed",
    "iterate",
    "log_plan",
    "mass",
    "normalize",
    "pairwise",
    "plan",
    "project",
    "row_argmax",
    "similarity_balance",
    "sinkhorn",
    "softmax",
    "statistic",
    "transport_cost",
    "until",
]
