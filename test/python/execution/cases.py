"""A row of values, one of every field, as a call and for the reference.

The fields are those of all attributes and operands, of types and shapes;
`allowed` says which values can stand together, by the verifier's own rules.
"""

import assembly
import numpy as np
import scaling_reference as sr
from programs import ROUNDING, Call, rounded

ANNEAL = (2.0, 1.0, 0.5)
GUARDS = {
    "none": None, "add_plan": ("add_plan", 1e-2), "clamp_plan": ("clamp_plan", 0.3),
    "add_kernel": ("add_kernel", 1e-2),
}  # fmt: skip
#: The first value of a field is the one that goes with everything.
FIELDS = {
    "op": ["project", "sinkhorn", "balance", "normalize_rows", "normalize_cols", "attention"],
    "element": ["f64", "f32", "bf16", "f16"],
    "accumulate": [None, "f64"],
    "dims": ["static", "dynamic", "mixed"],
    "batch": ["none", "all", "shared matrix", "shared vectors", "two"],
    "shape": [(5, 7), (8, 3), (6, 6), (1, 4), (4, 1)],
    "domain": ["kernel", "log", "absorb"],
    "kind": ["logits", "cost", "kernel"],
    "stat": ["sum", "l1", "l2", "linf", "mean_square", "std", "geomean"],
    "guard": list(GUARDS),
    "target": ["one", "uniform", "slack", "min_stat"],
    "exponent": [1.0, 0.5, 0.75],
    "tau": [1.0, 0.8],
    "reference": ["kernel", "product"],
    "omega": [1.0, 0.7, 1.3],
    "limit": [None, (0.2, 4.0), (0.5, 2.0, 1.0)],
    "step": [None, (0.5, 1.5)],
    "clamp": [None, (0.05, 3.0)],
    "round": [None, "pow2"],
    "cols": ["same", "other"],
    "order": ["rows_first", "cols_first", "jacobi"],
    "stop": ["fixed 4", "fixed 0", "fixed 1", "fixed 5", "measured", "until", "best"],
    "what": ["marginal", "change", "ratio", "relative_change"],
    "imbalance": ["imbalance", "imbalance_sum"],
    "patience": [None, "first"],
    "last": [True, False],
    "axis": ["both", "rows", "cols"],
    "norm": ["l1", "l2", "linf", "mean"],
    "cadence": [(2, 2), (1, 0), (3, 1), (4, 6)],
    "masks": ["none", "rows", "cols", "both"],
    "slack": ["none", "shared", "batched"],
    "marginals": ["none", "rows", "cols", "both"],
    "zero weight": [False, True],
    "starts": ["none", "rows", "both"],
    "start": ["neutral", "uniform", "targets"],
    "epsilon": ["one", "attribute", "operand", "batched"],
    "map": ["exp", "softmax_rows", "sigmoid"],
    "shift": ["none", "row_max", "col_max"],
    "entry_eps": [0.0, 1e-2],
    "normalize_total": [None, 0.0, 1e-2],
    "standardize": [False, True],
    "output": ["plan", "log_plan"],
    "scale": ["none", "rows", "cols", "rows_plus_cols"],
    "anneal": ["none", "anneal", "extrapolate"],
    "bias": [False, True],
}  # fmt: skip
#: Fields only some ops have; elsewhere they keep their first value.
ONLY = {
    "kind": ("project", "sinkhorn", "normalize_rows", "normalize_cols"),
    "slack": ("project", "sinkhorn"),
    "marginals": ("project", "sinkhorn", "balance", "normalize_rows", "normalize_cols"),
    "starts": ("project", "sinkhorn", "balance"),
    "bias": ("attention",),
    "start": ("project", "sinkhorn", "attention"),
    "anneal": ("project", "sinkhorn"),
    **dict.fromkeys(
        ("entry_eps", "standardize", "scale"),
        ("project", "normalize_rows", "normalize_cols", "attention"),
    ),
    "output": ("project", "normalize_rows", "normalize_cols"),
    **dict.fromkeys(
        ("map", "shift", "normalize_total", "epsilon"),
        ("project", "sinkhorn", "normalize_rows", "normalize_cols", "attention"),
    ),
    **dict.fromkeys(
        ("order", "stop", "cols"), ("project", "sinkhorn", "balance", "attention")
    ),
}
LOG = ("log", "absorb")
NORMALIZE = ("normalize_rows", "normalize_cols")


def forbidden(a, x, b, y):
    """Whether a = x and b = y cannot stand together, in this order of names."""
    if a == "op":
        if b in ONLY and y != FIELDS[b][0] and x not in ONLY[b]:
            return True
        if x == "balance" and b == "domain":
            return y != "kernel"
        if x == "sinkhorn" and b == "map":
            return y != "exp"
        if x in NORMALIZE:
            if b == "masks":
                return y not in ("none", "cols" if x == "normalize_rows" else "rows")
            if b == "marginals":
                return y not in ("none", "rows" if x == "normalize_rows" else "cols")
        if b == "target":
            return y not in {
                "project": ("one", "uniform", "slack"),
                "sinkhorn": ("one", "uniform", "slack"),
                "balance": ("one", "uniform", "min_stat"),
            }.get(x, ("one", "uniform"))
        if x == "attention" and b == "standardize":
            return y
    if a == "domain" and x in LOG:
        return (b, y) in {
            *(("stat", s) for s in FIELDS["stat"][1:]), ("round", "pow2"),
            ("kind", "kernel"), ("map", "sigmoid"), ("entry_eps", 1e-2),
        }  # fmt: skip
    if a == "domain" and b == "anneal":
        return y != "none"
    if a == "kind" and b == "standardize":
        return y and x != "cost"
    if a == "kind" and x == "kernel":
        return (
            (b == "map" and y != "exp") or (b == "shift" and y != "none")
            or (b == "anneal" and y != "none")
        )  # fmt: skip
    if a == "map" and x != "exp":
        return (b == "shift" and y != "none") or (b == "slack" and y != "none")
    if a == "slack" and x != "none":
        # The slack column holds one value: its deviation is a rounding error.
        return (b == "map" and y != "exp") or (b == "stat" and y == "std")
    if b == "slack" and y == "none" and a == "target":
        return x == "slack"
    if a == "target" and x == "min_stat":
        return (b == "limit" and y is None) or (b == "marginals" and y != "none")
    if a == "guard" and x == "add_kernel":
        return (
            (b == "exponent" and y != 1) or (b == "limit" and y is not None)
            or (b == "round" and y is not None)
        )  # fmt: skip
    if a == "stat" and x == "mean_square":
        return b == "guard" and y == "add_kernel"
    if a == "order" and x == "jacobi":
        return (b == "stop" and y in ("fixed 1", "fixed 5")) or (
            b == "cadence" and (y[0] % 2 or y[1] % 2)
        )
    if a == "stop":
        if b in ("imbalance", "patience", "last"):
            return x != "best" and y != FIELDS[b][0]
        if b in ("what", "cadence"):
            return x != "until" and y != FIELDS[b][0]
        if b in ("axis", "norm"):
            return x not in ("until", "measured") and y != FIELDS[b][0]
        if b == "anneal":
            return y != "none" and x not in ("fixed 4", "measured")
    if a == "what" and x == "relative_change" and b == "norm":
        return y != "l1"
    if a == "tau" and b == "anneal":
        return y != "none" and x != 1
    if a == "anneal" and b == "epsilon":
        return False
    if a == "zero weight" and x:
        # Zero targets are given ones; standing in what is annealed is tested.
        return False
    if a == "marginals" and b == "zero weight":
        return y and x == "none"
    if a == "batch" and x == "none":
        return (b == "slack" and y == "batched") or (b == "epsilon" and y == "batched")
    if a == "batch" and x == "shared matrix":
        return b == "op" and y in NORMALIZE
    return False


def allowed(a, x, b, y):
    return not forbidden(a, x, b, y) and not forbidden(b, y, a, x)


class Case:
    """A row of the array as a call and as arguments of the reference."""

    #: The range of exponents.
    exponents = 8.0

    def __init__(self, row, seed):
        self.row = row
        self.rng = np.random.default_rng(seed)
        self.element = row["element"]
        self.op = "normalize" if row["op"] in NORMALIZE else row["op"]
        self.along = row["op"].split("_")[1] if self.op == "normalize" else None
        self.domain = row["domain"]
        self.kind = "kernel" if self.op == "balance" else row["kind"]
        # A rounding to powers of two shows whatever is rounded before it.
        self.wide = "f64" if row["round"] else row["accumulate"]
        self.accumulate = self.wide or ("f64" if self.element == "f64" else "f32")
        self.build()

    def rules(self):
        row = self.row
        rule = sr.Rule(
            stat=row["stat"], guard=GUARDS[row["guard"]], target=row["target"],
            tau=row["tau"], reference=row["reference"], omega=row["omega"],
            exponent=row["exponent"], limit=row["limit"], step=row["step"],
            clamp=row["clamp"], round=row["round"],
        )  # fmt: skip
        if row["cols"] == "same":
            return rule, rule
        # Of the same degree, so that an imbalance is defined.
        other = sr.Rule(
            stat=row["stat"], target="one" if row["target"] != "min_stat" else "min_stat",
            tau=0.9 if row["anneal"] == "none" else 1.0,
            limit=(0.1, 10.0) if row["target"] == "min_stat" else None,
        )  # fmt: skip
        return rule, other

    def stop(self):
        row, name = self.row, self.row["stop"]
        if self.op == "normalize":
            return sr.fixed(1)
        if row["anneal"] != "none":
            pairs = len(ANNEAL) + (row["anneal"] == "extrapolate")
            measure = "last" if name == "measured" else "none"
            return sr.fixed(
                2 * pairs, measure=measure, axis=row["axis"], norm=row["norm"]
            )
        if name == "measured":
            return sr.fixed(6, measure="last", axis=row["axis"], norm=row["norm"])
        if name == "until":
            every, start = row["cadence"]
            # What a few half-steps reach, or not: both ends occur.
            tol = 0.03 if self.rng.integers(3) else 1e-14
            return sr.until(
                what=row["what"], axis=row["axis"], norm=row["norm"], tol=tol,
                every=every, start=start,
                limit=12 if row["order"] == "jacobi" else int(self.rng.integers(11, 13)),
            )  # fmt: skip
        if name == "best":
            return sr.best(
                what=row["imbalance"],
                limit=8,
                patience=row["patience"],
                last=row["last"],
            )
        return sr.fixed(int(name.split()[1]))

    def values(self, shape):
        """A matrix the statistics can work with."""
        spread = 0.5 if self.element in ("bf16", "f16") else 1.0
        if self.kind == "kernel":
            matrix = np.exp(spread * self.rng.normal(size=shape))
            if (
                self.row["stat"] not in ("sum", "std")
                and self.row["normalize_total"] is None
            ):
                matrix *= self.rng.choice([-1, 1], size=shape)
            if self.row["stat"] == "geomean" and min(shape[-2:]) > 1:
                matrix[..., 0, 1] = 0
            return matrix
        return spread * self.rng.normal(size=shape)

    def build(self):
        row, rng = self.row, self.rng
        n, m = row["shape"]
        slack = row["slack"] != "none"
        batch = {"none": (), "two": (2, 2)}.get(row["batch"], (3,))
        matrix_batch = () if row["batch"] == "shared matrix" else batch
        # Something must carry the batch that the matrix does not have.
        vector_batch = () if row["batch"] == "shared vectors" else batch
        rows_, cols_ = n + slack, m + slack
        given = {}
        if self.op == "attention":
            for name, size in (("query", (n, 4)), ("key", (m, 4)), ("value", (m, 3))):
                own = batch if name == "value" else matrix_batch
                given[name] = self.values((*own, *size))
            if row["bias"]:
                given["bias"] = self.values((*vector_batch, n, m))
        else:
            keyword = "matrix" if self.op == "balance" else self.kind
            given[keyword] = self.values((*matrix_batch, n, m))

        def weights(size):
            values = rng.uniform(0.5, 1.5, (*vector_batch, size))
            if row["zero weight"] and size > 2:
                values[..., 1] = 0
            return values / values.sum(-1, keepdims=True)

        def mask(size):
            values = rng.uniform(size=(*vector_batch, size)) < 0.7
            values[..., 0] = True
            return values

        marginals = {"rows": ("rows",), "cols": ("cols",), "both": ("rows", "cols")}
        weight = {axis: None for axis in ("rows", "cols")}
        for axis in marginals.get(row["marginals"], ()):
            weight[axis] = weights(rows_ if axis == "rows" else cols_)
        if row["batch"] == "shared matrix" and self.op in (
            "project",
            "sinkhorn",
            "balance",
        ):
            # The reference takes any, and so does the op.
            if weight["rows"] is None and row["target"] != "min_stat":
                weight["rows"] = weights(rows_)
        init = {axis: None for axis in ("rows", "cols")}
        for axis in {"rows": ("rows",), "both": ("rows", "cols")}.get(
            row["starts"], ()
        ):
            size = rows_ if axis == "rows" else cols_
            init[axis] = 0.3 * rng.normal(size=(*vector_batch, size))
            if self.op == "balance":
                init[axis] = np.exp(init[axis])
        masks = {"rows": None, "cols": None}
        for axis in {
            "rows": ("rows",),
            "cols": ("cols",),
            "both": ("rows", "cols"),
        }.get(row["masks"], ()):
            masks[axis] = mask(n if axis == "rows" else m)
            # The slack entry of a mask is a given one, too.
            if slack:
                masks[axis] = np.concatenate(
                    [masks[axis], np.ones((*vector_batch, 1), bool)], axis=-1
                )
        if self.op == "normalize":
            given["target"] = weight[self.along]
            given["mask"] = masks["cols" if self.along == "rows" else "rows"]
        else:
            names = ("target", "target") if self.op == "balance" else ("marginal",) * 2
            if self.op != "attention":
                given[f"row_{names[0]}"], given[f"col_{names[1]}"] = weight.values()
                given["row_init"], given["col_init"] = init.values()
            given["row_mask"], given["col_mask"] = masks.values()
        epsilon = None
        if row["epsilon"] in ("operand", "batched"):
            epsilon = rng.uniform(
                0.5, 1.5, batch if row["epsilon"] == "batched" else ()
            )
        if slack:
            given["slack"] = rng.uniform(
                0.3, 1.0, batch if row["slack"] == "batched" else ()
            )
        if self.op != "balance":
            given["epsilon"] = epsilon
        self.given = {
            k: v if v.dtype == bool else rounded(v, self.element)
            for k, v in given.items()
            if v is not None
        }
        kind = self.kind
        self.form = sr.Form(
            epsilon=0.7 if row["epsilon"] == "attribute" else 1.0,
            standardize=row["standardize"],
            map="identity" if kind == "kernel" else row["map"],
            shift=row["shift"], entry_eps=row["entry_eps"],
            normalize_total=row["normalize_total"], output=row["output"],
            scale=row["scale"], start=row["start"],
            anneal=ANNEAL if row["anneal"] != "none" else (),
            extrapolate=row["anneal"] == "extrapolate",
        )  # fmt: skip
        self.stop_at = self.stop()
        self.row_rule, self.col_rule = self.rules()

    def call(self):
        if self.op == "normalize":
            wide = f", accumulate = {self.wide}" if self.wide else ""
            text = (
                f"form({assembly.form(self.form, self.kind)})"
                f" rule({assembly.rule(self.row_rule)})"
                f" numerics(#scaling.numerics<{self.domain}{wide}>)"
            )
        else:
            form = (
                {} if self.op == "balance" else dict(enters=self.form, kind=self.kind)
            )
            text = assembly.attributes(
                domain=self.domain, rows=self.row_rule, cols=self.col_rule,
                order=self.row["order"], stop_at=self.stop_at,
                accumulate=self.wide, **form,
            )  # fmt: skip
        return Call(
            self.op, self.given, text, self.element, self.accumulate,
            dims=self.row["dims"], slack="slack" in self.given, along=self.along,
        )  # fmt: skip

    def ambiguous(self):
        """Elements whose count a perturbation of the last digits changes: ties."""
        matrix = next(iter(self.given))
        counts = []
        for seed in range(20):
            given = dict(self.given)
            noise = np.random.default_rng(seed).normal(size=given[matrix].shape)
            given[matrix] = given[matrix] * (1 + 1e-13 * noise)
            counts.append(self.reference(given=given)[-3])
        return np.any(np.array(counts) != counts[0], axis=0)

    def reference(self, stop=None, given=None):
        """Results in the op's order; the counts only where the op has them."""
        g = dict(given or self.given)
        options = dict(
            rows=self.row_rule, cols=self.col_rule, order=self.row["order"],
            stop=stop or self.stop_at,
        )  # fmt: skip
        vectors = dict(
            row_target=g.get("row_marginal", g.get("row_target")),
            col_target=g.get("col_marginal", g.get("col_target")),
            row_mask=g.get("row_mask"), col_mask=g.get("col_mask"),
        )  # fmt: skip
        if self.op == "balance":
            return sr.balance(
                g["matrix"], row_start=g.get("row_init"), col_start=g.get("col_init"),
                **vectors, **options,
            )  # fmt: skip
        options |= dict(
            kind=self.kind, form=self.form, domain=self.domain, epsilon=g.get("epsilon")
        )
        if self.op == "normalize":
            other = "col" if self.along == "rows" else "row"
            own = "row" if self.along == "rows" else "col"
            options |= {"order": f"{self.along}_first", f"{other}s": sr.Rule()}
            result = sr.project(
                g[self.kind], **options,
                **{f"{own}_target": g.get("target"), f"{other}_mask": g.get("mask")},
            )  # fmt: skip
            return (result.plan,)
        if self.op == "attention":
            logits = g["query"] @ np.swapaxes(g["key"], -1, -2) / 2.0
            if "bias" in g:
                logits = logits + g["bias"]
            result = sr.project(logits, **vectors, **options)
            return (sr.apply(result.plan, g["value"]), *result[1:])
        slack_masks = {
            k: None if v is None else v[..., :-1] if "slack" in g else v
            for k, v in vectors.items()
            if k.endswith("mask")
        }
        run = sr.sinkhorn if self.op == "sinkhorn" else sr.project
        return run(
            g[self.kind], slack=g.get("slack"), f_start=g.get("row_init"),
            g_start=g.get("col_init"), **(vectors | slack_masks), **options,
        )  # fmt: skip


def tolerance(case):
    """Relative to the largest entry.

    f64: 1e-12. f32: an entry is off by 8·2^-24 of its exponent's range and
    1e-5; what is not a sum of positive numbers, and powers, add roundings.
    Storage in 16 bits rounds the result once more.
    """
    if case.accumulate == "f64":
        return 1e-12
    return 8 * 2.0**-24 * case.exponents + 1e-5


def close(actual, expected, bound, least=0.0):
    expected = np.broadcast_to(expected, np.shape(actual))
    finite = np.abs(expected[np.isfinite(expected)])
    scale = np.max(finite, initial=least)
    np.testing.assert_allclose(actual, expected, rtol=bound, atol=bound * scale)


def compare(case, results):
    """Asserts that the results are the reference's."""
    bound = tolerance(case)
    expected, stop = case.reference(), case.stop_at
    if case.op == "normalize":
        compare_main(case, results, expected, bound)
        return
    steps, residual, status = results[-3:]
    batch = steps.shape
    counts = np.broadcast_to(expected[-3], batch)
    if case.accumulate == "f64" or stop.mode == "fixed":
        sure = np.ones(batch, bool)
        if not np.array_equal(steps, counts):
            sure = ~np.broadcast_to(case.ambiguous(), batch)
        np.testing.assert_array_equal(steps[sure], counts[sure])
        np.testing.assert_array_equal(
            status[sure], np.broadcast_to(expected[-1], batch)[sure]
        )
        compare_main(case, results, expected, bound, sure)
        # A residual is a difference of numbers of the targets' size.
        np.testing.assert_allclose(
            residual[sure], np.broadcast_to(expected[-2], batch)[sure],
            rtol=10 * bound, atol=10 * bound,
        )  # fmt: skip
        return
    if stop.mode == "until":
        assert np.all(np.abs(steps - counts) <= 2 * stop.every)
        assert set(status.ravel()) <= {sr.CONVERGED, sr.LIMIT}
    for count in set(steps.ravel()):
        # Each element against the reference at the count it came to.
        again = case.reference(sr.fixed(int(count)))
        compare_main(case, results, again, bound, steps == count)
    if stop.mode == "best":
        np.testing.assert_allclose(
            residual, np.broadcast_to(expected[-2], batch), rtol=30 * bound
        )


def compare_main(case, results, expected, bound, where=None):
    """The results but the counts; `where` selects batch elements."""
    ends = 0 if case.op == "normalize" else 3
    for actual, wanted, (shape, tail, element) in zip(
        results[: len(results) - ends], expected, case.call().results()
    ):
        assert actual.shape == shape
        wanted = np.broadcast_to(wanted, shape)
        if where is not None:
            actual, wanted = actual[where], wanted[where]
        extra = 0 if element == "f64" else 2 * ROUNDING[element]
        # A relative error of a factor is an absolute one of its logarithm.
        close(actual, wanted, bound + extra, float(case.op == "sinkhorn"))


def compare_similarity(matrix, results, limit=100, bound=0.0):
    """Asserts that what `similarity_balance` gives is the reference's."""
    balanced, scale, sweeps, status = results
    reference = sr.similarity_balance(matrix)
    done = status == sr.CONVERGED
    np.testing.assert_array_equal(done, reference.sweeps <= limit)
    np.testing.assert_array_equal(sweeps, np.minimum(reference.sweeps, limit))
    # Factors are powers of two: the product with them is exact.
    similar = matrix * scale[..., None, :] / scale[..., :, None]
    np.testing.assert_allclose(balanced, similar, rtol=bound)
    np.testing.assert_array_equal(scale[done], reference.scale[done])
