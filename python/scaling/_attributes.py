"""The attributes of the dialect's ops as Python values, and their text."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .presets import ATTRIBUTES

STATISTICS = ("sum", "l1", "l2", "linf", "mean_square", "std", "geomean")
GUARDS = ("add_plan", "clamp_plan", "add_kernel")
TARGETS = ("one", "uniform", "slack", "min_stat")
ORDERS = ("rows_first", "cols_first", "jacobi", "symmetric")
DOMAINS = ("kernel", "log", "absorb")
PRODUCTS = ("f32", "tf32", "bf16", "f16")
INPUTS = ("cost", "logits", "kernel")
AXES = ("rows", "cols", "both")
NORMS = ("l1", "l2", "linf", "mean")
#: The fields of a form that are a word, and what they may be.
FORM_WORDS = {
    "map": ("exp", "softmax_rows", "sigmoid", "identity"),
    "shift": ("none", "row_max", "col_max"),
    "start": ("neutral", "uniform", "targets"),
    "output": ("plan", "log_plan"),
    "scale": ("one", "rows", "cols", "rows_plus_cols"),
}


def one_of(name: str, value: object, allowed: Sequence[str]) -> str:
    """The value, if it is one of the allowed words."""
    if isinstance(value, str) and value in allowed:
        return str(value)
    words = ", ".join(map(repr, allowed))
    error = ValueError if isinstance(value, str) else TypeError
    raise error(f"{name}: {value!r} was given, allowed are {words}")


def number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: a number is needed, {value!r} was given")
    return float(value)


def flag(name: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: True or False is needed, {value!r} was given")
    return bool(value)


def count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: a whole number is needed, {value!r} was given")
    if not 0 <= value < 2**31:
        raise ValueError(f"{name}: {value} was given, allowed is 0 to {2**31 - 1}")
    return int(value)


def float_text(value: float) -> str:
    """A float as assembly has it: exact, with a point."""
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    mantissa, e, exponent = repr(float(value)).partition("e")
    return mantissa + ("" if "." in mantissa else ".0") + e + exponent


def _list_text(name: str, values: object, lengths: Sequence[int] | None) -> str:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise TypeError(f"{name}: a sequence of numbers is needed, not {values!r}")
    if lengths and len(values) not in lengths:
        allowed = " or ".join(map(str, lengths))
        raise ValueError(f"{name}: {len(values)} numbers were given, allowed {allowed}")
    return "[" + ", ".join(float_text(number(name, v)) for v in values) + "]"


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Rule:
    """How the factor of one axis is updated; `docs/semantics.md`, "The rule".

    stat: the statistic of a row (column): sum, l1, l2, linf, mean_square, std,
        geomean.
    guard: (kind, ε) with kind add_plan, clamp_plan or add_kernel; what keeps a
        sum away from zero.
    target: what the statistic becomes where no target is given: one (1 each),
        uniform (1/n for rows, 1/m for columns), slack, min_stat.
    exponent: of the correction.
    tau, reference: damping, 0 < tau ≤ 1, towards 1 ("kernel") or the target
        ("product"); tau = ρ/(ρ + ε) is unbalanced transport.
    omega: over-relaxation, 0 < omega < 2.
    limit: (lo, hi) or (lo, hi, below) for the statistic.
    step: (lo, hi) for the correction. clamp: (lo, hi) for the factor.
    round: "pow2" rounds the statistic to a power of two.
    """

    stat: str = "sum"
    guard: tuple[str, float] | None = None
    target: str = "one"
    exponent: float = 1.0
    tau: float = 1.0
    reference: str = "kernel"
    omega: float = 1.0
    limit: tuple[float, ...] | None = None
    step: tuple[float, float] | None = None
    clamp: tuple[float, float] | None = None
    round: str | None = None

    def __post_init__(self) -> None:
        for name in ("guard", "limit", "step", "clamp"):
            object.__setattr__(self, name, _tupled(getattr(self, name)))

    def text(self, name: str) -> str:
        parts = [one_of(f"{name}: stat", self.stat, STATISTICS)]
        if self.guard is not None:
            if not isinstance(self.guard, tuple) or len(self.guard) != 2:
                raise TypeError(
                    f"{name}: guard: (kind, ε) is needed, {self.guard!r} was given"
                )
            kind = one_of(f"{name}: guard", self.guard[0], GUARDS)
            epsilon = float_text(number(f"{name}: guard", self.guard[1]))
            parts.append(f"guard = {kind}({epsilon})")
        if self.target != "one":
            parts.append(f"target = {one_of(f'{name}: target', self.target, TARGETS)}")
        if self.reference != "kernel":
            word = one_of(f"{name}: reference", self.reference, ("kernel", "product"))
            parts.append(f"reference = {word}")
        if self.round is not None:
            parts.append(f"round = {one_of(f'{name}: round', self.round, ('pow2',))}")
        for key in ("exponent", "tau", "omega"):
            value = number(f"{name}: {key}", getattr(self, key))
            if value != 1:
                parts.append(f"{key} = {float_text(value)}")
        for key, lengths in (("limit", (2, 3)), ("step", (2,)), ("clamp", (2,))):
            values = getattr(self, key)
            if values is not None:
                parts.append(f"{key} = {_list_text(f'{name}: {key}', values, lengths)}")
        return f"#scaling.rule<{', '.join(parts)}>"


@dataclass(frozen=True)
class Stop:
    """When an iteration stops, in half-steps; made by `fixed`, `until`, `best`."""

    head: str
    fields: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def fixed(
        half_steps: int, *, measure: bool = False, axis: str = "both", norm: str = "l1"
    ) -> Stop:
        """That many half-steps; `measure` reads the residual of the last iterate."""
        fields: tuple[tuple[str, str], ...] = ()
        if measure:
            fields = (
                ("measure", "last"),
                ("axis", one_of("axis", axis, AXES)),
                ("norm", one_of("norm", norm, NORMS)),
            )
        return Stop(f"fixed {count('half_steps', half_steps)}", fields)

    @staticmethod
    def until(
        tol: float,
        *,
        what: str = "marginal",
        axis: str = "both",
        norm: str = "l1",
        every: int = 2,
        start: int = 2,
        limit: int = 2000,
        relax: str | None = None,
        depth: int = 5,
    ) -> Stop:
        """Until what is measured is at most `tol`; at most `limit` half-steps.

        what: marginal, change, ratio or relative_change. axis, norm: whose, and
        how a vector becomes a number. every, start: when it is looked at.
        relax: "none" forbids over-relaxation, "auto" demands it, "anderson" takes
        Anderson's steps, which look at the last `depth` of them.
        """
        whats = ("marginal", "change", "ratio", "relative_change")
        fields = [
            ("what", one_of("what", what, whats)),
            ("axis", one_of("axis", axis, AXES)),
            ("norm", one_of("norm", norm, NORMS)),
            ("every", str(count("every", every))),
            ("start", str(count("start", start))),
            ("limit", str(count("limit", limit))),
        ]
        if relax is not None:
            word = one_of("relax", relax, ("auto", "none", "anderson"))
            steps = f"({count('depth', depth)})" if word == "anderson" else ""
            fields.append(("relax", word + steps))
        return Stop(f"until {float_text(number('tol', tol))}", tuple(fields))

    @staticmethod
    def best(
        limit: int,
        *,
        what: str = "imbalance",
        patience: str | None = None,
        last: bool = True,
    ) -> Stop:
        """The best of `limit` half-steps by imbalance or imbalance_sum."""
        whats = ("imbalance", "imbalance_sum")
        fields = [("what", one_of("what", what, whats))]
        if patience is not None:
            fields.append(("patience", one_of("patience", patience, ("first",))))
        if not last:
            fields.append(("last", "false"))
        return Stop(f"best {count('limit', limit)}", tuple(fields))

    def text(self) -> str:
        parts = [self.head, *(f"{key} = {value}" for key, value in self.fields)]
        return f"#scaling.stop<{', '.join(parts)}>"


def _parse(text: object) -> tuple[str, dict[str, str]]:
    """The first word and the fields of `#scaling.form<logits, map = exp>`; a
    field without a value has the value ""."""
    inner = str(text)[str(text).index("<") + 1 : -1]
    head, *rest = re.split(r",\s*(?![^\[(]*[\])])", inner)
    fields = {}
    for field in rest:
        key, _, value = field.partition("=")
        fields[key.strip()] = value.strip()
    return head, fields


def _print(name: str, head: str, fields: dict[str, str]) -> str:
    parts = [f"{key} = {value}" if value else key for key, value in fields.items()]
    return f"#scaling.{name}<{', '.join([head, *parts])}>"


def _form(
    base: object, default_input: str, given: dict[str, Any], once: bool
) -> tuple[str, str]:
    """The input and the text of a form with what was given put in; `once`: of one
    half-step, which starts from nothing."""
    head, fields = _parse(base) if base else (default_input, {})
    if once:
        for key in ("start", "anneal", "extrapolate"):
            fields.pop(key, None)
    if given.get("input") is not None:
        head = one_of("input", given["input"], INPUTS)
    if head == "kernel":
        fields.pop("map", None)
    for key, allowed in FORM_WORDS.items():
        if given.get(key) is not None:
            fields[key] = one_of(key, given[key], allowed)
    for key in ("entry_eps", "normalize_total"):
        if given.get(key) is not None:
            value = number(key, given[key])
            if not 0 <= value < math.inf:
                raise ValueError(
                    f"{key}: {value} was given, allowed is 0 and above, finite"
                )
            fields[key] = float_text(value)
    for key in ("standardize", "extrapolate"):
        if given.get(key) is not None:
            if flag(key, given[key]):
                fields[key] = ""
            else:
                fields.pop(key, None)
    if given.get("anneal") is not None:
        fields["anneal"] = _list_text("anneal", given["anneal"], None)
    return head, _print("form", head, fields)


def _rule(name: str, value: object) -> str:
    if isinstance(value, str):
        value = Rule(value)
    if not isinstance(value, Rule):
        raise TypeError(
            f"{name}: a scaling.Rule or the name of a statistic is needed, "
            f"{value!r} was given"
        )
    return value.text(name)


def _stop(base: object, default: Stop, given: dict[str, Any]) -> str:
    stop, half_steps, tol = (given.get(k) for k in ("stop", "half_steps", "tol"))
    limit = given.get("max_half_steps")
    if sum(x is not None for x in (stop, half_steps, tol)) > 1:
        raise ValueError("stop, half_steps and tol exclude each other: give one")
    if limit is not None and (stop is not None or half_steps is not None):
        raise ValueError("max_half_steps goes with tol only")
    if stop is not None:
        if not isinstance(stop, Stop):
            raise TypeError(f"stop: a scaling.Stop is needed, {stop!r} was given")
        return stop.text()
    head, fields = _parse(base or default.text())
    if half_steps is not None:
        if not head.startswith("fixed"):
            fields = {}
        head = f"fixed {count('half_steps', half_steps)}"
    if tol is not None or limit is not None:
        if not head.startswith("until"):
            if tol is None:
                raise ValueError("max_half_steps goes with tol only")
            head, fields = _parse(default.text())
        if tol is not None:
            tol = number("tol", tol)
            if not 0 <= tol < math.inf:
                raise ValueError(f"tol: {tol} was given, allowed is 0 and above")
            head = f"until {float_text(tol)}"
        if limit is not None:
            fields["limit"] = str(count("max_half_steps", limit))
    return _print("stop", head, fields)


def _numerics(base: object, given: dict[str, Any]) -> str:
    head, fields = _parse(base or "#scaling.numerics<absorb>")
    if given.get("domain") is not None:
        head = one_of("domain", given["domain"], DOMAINS)
    if given.get("accumulate") is not None:
        fields["accumulate"] = one_of("accumulate", given["accumulate"], ("f32", "f64"))
    if given.get("strict") is not None:
        if flag("strict", given["strict"]):
            fields["strict"] = ""
        else:
            fields.pop("strict", None)
    if given.get("products") is not None:
        fields["products"] = one_of("products", given["products"], PRODUCTS)
        if fields["products"] != "f32" and "strict" in fields:
            raise ValueError(
                f"products: {given['products']!r} was given, with strict allowed is "
                "'f32'"
            )
    return _print("numerics", head, fields)


@dataclass(frozen=True)
class Attributes:
    """What a call says about the iteration, as assembly."""

    input: str
    text: str
    accumulate: str
    #: best always ends at its limit: that is no failure.
    is_best: bool

    @staticmethod
    def parse(text: str) -> Attributes:
        """The same from the text alone."""
        form = re.search(r"#scaling\.form<(\w+)", text)
        accumulate = re.search(r"accumulate = (f32|f64)", text)
        return Attributes(
            form[1] if form else "kernel",
            text,
            accumulate[1] if accumulate else "",
            "#scaling.stop<best" in text,
        )


def resolve(
    op: str,
    given: dict[str, Any],
    *,
    default_input: str = "logits",
    default_target: str = "one",
    default_stop: Stop,
    fields: Sequence[str] = ("form", "rows", "cols", "order", "stop", "numerics"),
    axis: str = "rows",
) -> Attributes:
    """Puts a preset and what was given for single attributes together. Of one
    half-step, along `axis`, a preset is that of whole projections."""
    base: dict[str, Any] = {}
    preset = given.get("preset")
    if preset is not None:
        name = getattr(preset, "value", preset)
        whole = "project" if "rule" in fields else op
        allowed = [name for name, entry in ATTRIBUTES.items() if whole in entry["ops"]]
        base = ATTRIBUTES[one_of("preset", name, allowed)]
    numerics = _numerics(base.get("numerics"), given)
    parts = []
    head = "kernel"
    if "form" in fields:
        head, form = _form(base.get("form"), default_input, given, "rule" in fields)
        parts.append(f"form({form})")
        # A kernel has no logarithm to be safe with.
        if head == "kernel" and not base and given.get("domain") is None:
            numerics = numerics.replace("<absorb", "<kernel")
    elif not base and given.get("domain") is None:
        numerics = numerics.replace("<absorb", "<kernel")
    for axis in ("rows", "cols"):
        if axis in fields:
            rule = base.get(axis) or Rule(target=default_target).text(axis)
            if given.get(axis) is not None:
                rule = _rule(axis, given[axis])
            parts.append(f"{axis}({rule})")
    if "rule" in fields:
        rule = base.get(axis) or Rule(target=default_target).text("rule")
        if given.get("rule") is not None:
            rule = _rule("rule", given["rule"])
        parts.append(f"rule({rule})")
    if "order" in fields:
        order = base.get("order", "rows_first")
        if given.get("order") is not None:
            order = one_of("order", given["order"], ORDERS)
        parts.append(f"order({order})")
    if "stop" in fields:
        parts.append(f"stop({_stop(base.get('stop'), default_stop, given)})")
    parts.append(f"numerics({numerics})")
    return Attributes.parse(" ".join(parts))
