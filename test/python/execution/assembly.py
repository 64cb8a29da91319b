"""The reference's rules, stops and forms as attributes in assembly."""

import math

import scaling_reference as sr


def number(value):
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    text = repr(float(value))
    mantissa, _, exponent = text.partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    return f"{mantissa}e{exponent}" if exponent else mantissa


def numbers(values):
    return f"[{', '.join(map(number, values))}]"


def rule(rule):
    parts = [rule.stat]
    if rule.guard is not None:
        parts.append(f"guard = {rule.guard[0]}({number(rule.guard[1])})")
    default = sr.Rule()
    for key in ("target", "reference", "round"):
        if getattr(rule, key) != getattr(default, key):
            parts.append(f"{key} = {getattr(rule, key)}")
    for key in ("exponent", "tau", "omega"):
        if getattr(rule, key) != 1:
            parts.append(f"{key} = {number(getattr(rule, key))}")
    for key in ("limit", "step", "clamp"):
        if getattr(rule, key) is not None:
            parts.append(f"{key} = {numbers(getattr(rule, key))}")
    return f"#scaling.rule<{', '.join(parts)}>"


def stop(stop):
    parts = [f"axis = {stop.axis}", f"norm = {stop.norm}"]
    if stop.mode == "fixed":
        parts = [f"fixed {stop.half_steps}", f"measure = {stop.measure}", *parts]
    elif stop.mode == "until":
        parts = [
            f"until {number(stop.tol)}",
            f"what = {stop.what}",
            *parts,
            f"every = {stop.every}",
            f"start = {stop.start}",
            f"limit = {stop.limit}",
        ]
        if stop.relax:
            depth = f"({stop.depth})" if stop.relax == "anderson" else ""
            parts.append(f"relax = {stop.relax}{depth}")
    else:
        parts = [f"best {stop.limit}", f"what = {stop.what}"]
        if stop.patience:
            parts.append("patience = first")
        if not stop.last:
            parts.append("last = false")
    return f"#scaling.stop<{', '.join(parts)}>"


def form(form, kind):
    parts = [kind]
    if kind != "kernel":
        parts.append(f"map = {form.map}")
    if form.shift != "none":
        parts.append(f"shift = {form.shift}")
    if form.epsilon != 1:
        parts.append(f"epsilon = {number(form.epsilon)}")
    if form.standardize:
        parts.append("standardize")
    if form.entry_eps:
        parts.append(f"entry_eps = {number(form.entry_eps)}")
    if form.normalize_total is not None:
        parts.append(f"normalize_total = {number(form.normalize_total)}")
    if form.start != "neutral":
        parts.append(f"start = {form.start}")
    if form.output != "plan":
        parts.append(f"output = {form.output}")
    if form.scale != "none":
        parts.append(f"scale = {form.scale}")
    if form.anneal:
        parts.append(f"anneal = {numbers(form.anneal)}")
    if form.extrapolate:
        parts.append("extrapolate")
    return f"#scaling.form<{', '.join(parts)}>"


def attributes(*, domain, rows, cols, order, stop_at, accumulate=None, **form_options):
    """All of an iteration; `enters` and `kind` where the op has a form."""
    parts = []
    if form_options:
        parts.append(f"form({form(form_options['enters'], form_options['kind'])})")
    wide = f", accumulate = {accumulate}" if accumulate else ""
    parts += [
        f"rows({rule(rows)})",
        f"cols({rule(cols)})",
        f"order({order})",
        f"stop({stop(stop_at)})",
        f"numerics(#scaling.numerics<{domain}{wide}>)",
    ]
    return " ".join(parts)
