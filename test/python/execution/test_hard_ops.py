"""Inputs at the edge through every named op, in f32 and f64.

`test_hard` goes through all conditions of stopping with `sinkhorn` in f64; here
every op gets each of the inputs that makes sense for it. The results, those of
elements that diverged included, are the reference's.
"""

import functools

import assembly
import numpy as np
import pytest
import scaling_reference as sr
from programs import Call, Programs, rounded
from test_hard import PROBLEMS, keep, spoiled, symbol, weights

NAN, INF = np.nan, np.inf
RNG = np.random.default_rng(23)
STOPS = {"fixed": sr.fixed(6), "until": sr.until(tol=1e-3, limit=60)}
#: f32 holds smaller numbers only: what is a kernel there is not one in f64.
RANGE = ("tiny temperature", "huge cost", "huge negative cost")

MATRIX = np.exp(RNG.normal(size=(4, 5)))
SQUARE = np.exp(4 * RNG.normal(size=(5, 5)))


def changed(matrix, *entries):
    """The matrix with `index, value` put in."""
    matrix = np.array(matrix)
    for index, value in entries:
        matrix[index] = value
    return matrix


ROW, COL = (1, slice(None)), (slice(None), 2)
#: Matrices that are wrong or empty in some way.
MATRICES = {
    "plain": MATRIX,
    "one row": MATRIX[:1],
    "one column": MATRIX[:, :1],
    "one entry": MATRIX[:1, :1],
    "no rows": MATRIX[:0],
    "no columns": MATRIX[:, :0],
    "nothing": MATRIX[:0, :0],
    "empty batch": np.zeros((0, 4, 5)),
    "zero row": changed(MATRIX, (ROW, 0)),
    "zero column": changed(MATRIX, (COL, 0)),
    "zero row and column": changed(MATRIX, (ROW, 0), (COL, 0)),
    "zeros": np.zeros((4, 5)),
    "nan": changed(MATRIX, ((1, 2), NAN)),
    "infinity": changed(MATRIX, ((1, 2), INF)),
    "minus infinity": changed(MATRIX, ((1, 2), -INF)),
    "all nan": np.full((4, 5), NAN),
    "one bad of three": np.stack([MATRIX, changed(MATRIX, ((1, 2), NAN)), 2 * MATRIX]),
}
BALANCES = {
    **{name: dict(matrix=matrix) for name, matrix in MATRICES.items()},
    "zero targets": dict(
        matrix=MATRIX, row_target=weights(4, [1]), col_target=weights(5, [0, 3])
    ),
    "all targets zero": dict(
        matrix=MATRIX, row_target=np.zeros(4), col_target=np.zeros(5)
    ),
    "negative target": dict(matrix=MATRIX, row_target=np.array([0.2, -0.1, 0.4, 0.5])),
    "nan target": dict(matrix=MATRIX, col_target=changed(np.ones(5), (3, NAN))),
    "infinite target": dict(matrix=MATRIX, col_target=changed(np.ones(5), (3, INF))),
    "different mass": dict(
        matrix=MATRIX, row_target=weights(4), col_target=3 * weights(5)
    ),
    "masked": dict(matrix=MATRIX, row_mask=keep(4, 0, 2), col_mask=keep(5, 4)),
    "all masked": dict(matrix=MATRIX, row_mask=np.zeros(4, bool)),
    "masked nan": dict(matrix=MATRICES["nan"], row_mask=keep(4, 1)),
    "nan start": dict(matrix=MATRIX, row_init=changed(np.ones(4), (1, NAN))),
}  # fmt: skip
NORMALIZES = {
    **{name: dict(logits=matrix) for name, matrix in MATRICES.items()},
    "no support": dict(logits=np.full((4, 5), -INF)),
    "row without support": dict(logits=changed(MATRIX, (ROW, -INF))),
    "column without support": dict(logits=changed(MATRIX, (COL, -INF))),
    "zero targets": dict(logits=MATRIX, target=weights(4, [1])),
    "negative target": dict(logits=MATRIX, target=np.array([0.2, -0.1, 0.4, 0.5])),
    "nan target": dict(logits=MATRIX, target=changed(np.ones(4), (3, NAN))),
    "masked": dict(logits=MATRIX, mask=keep(5, 0, 3)),
    "all masked": dict(logits=MATRIX, mask=np.zeros(5, bool)),
    "masked nan": dict(logits=MATRICES["nan"], mask=keep(5, 2)),
    "zero temperature": dict(logits=MATRIX, epsilon=np.array(0.0)),
    "negative temperature": dict(logits=MATRIX, epsilon=np.array(-1.0)),
    "nan temperature": dict(logits=MATRIX, epsilon=np.array(NAN)),
}
QUERY, KEY, VALUE = (RNG.normal(size=shape) for shape in ((4, 3), (5, 3), (5, 2)))
BIAS = RNG.normal(size=(4, 5))
QKV = dict(query=QUERY, key=KEY, value=VALUE)
ATTENTIONS = {
    "plain": QKV,
    "one query": QKV | dict(query=QUERY[:1]),
    "one key": QKV | dict(key=KEY[:1], value=VALUE[:1]),
    "a batch of values": QKV | dict(value=np.stack([VALUE, 2 * VALUE])),
    "no queries": QKV | dict(query=QUERY[:0]),
    "no keys": QKV | dict(key=KEY[:0], value=VALUE[:0]),
    "no values": QKV | dict(value=VALUE[:, :0]),
    "empty batch": {k: np.zeros((0, *v.shape)) for k, v in QKV.items()},
    "nan query": QKV | dict(query=changed(QUERY, ((1, 2), NAN))),
    "infinite key": QKV | dict(key=changed(KEY, ((1, 2), INF))),
    "nan value": QKV | dict(value=changed(VALUE, ((1, 1), NAN))),
    "forbidden": QKV | dict(bias=changed(BIAS, ((1, 2), -INF))),
    "query without support": QKV | dict(bias=changed(BIAS, (ROW, -INF))),
    "key without support": QKV | dict(bias=changed(BIAS, (COL, -INF))),
    "no support": QKV | dict(bias=np.full((4, 5), -INF)),
    "infinite bias": QKV | dict(bias=changed(BIAS, ((1, 2), INF))),
    "masked": QKV | dict(row_mask=keep(4, 0, 2), col_mask=keep(5, 4)),
    "all masked": QKV | dict(col_mask=np.zeros(5, bool)),
    "masked nan": QKV | dict(query=changed(QUERY, ((1, 2), NAN)), row_mask=keep(4, 1)),
    "masked nan key": QKV | dict(key=changed(KEY, ((1, 2), NAN)), col_mask=keep(5, 1)),
    "zero temperature": QKV | dict(epsilon=np.array(0.0)),
    "negative temperature": QKV | dict(epsilon=np.array(-1.0)),
    "nan temperature": QKV | dict(epsilon=np.array(NAN)),
    "one bad temperature": QKV | dict(
        query=np.stack([QUERY] * 3), epsilon=np.array([0.5, 0.0, 2.0])
    ),
}  # fmt: skip
SIMILARITIES = {
    "plain": SQUARE,
    "one entry": SQUARE[:1, :1],
    "nothing": SQUARE[:0, :0],
    "empty batch": np.zeros((0, 5, 5)),
    "zero row": changed(SQUARE, (ROW, 0)),
    "zero column": changed(SQUARE, (COL, 0)),
    "zeros": np.zeros((5, 5)),
    "nan": changed(SQUARE, ((1, 2), NAN)),
    "infinity": changed(SQUARE, ((1, 2), INF)),
    "minus infinity": changed(SQUARE, ((2, 2), -INF)),
    "one bad of three": np.stack([SQUARE, changed(SQUARE, ((1, 2), NAN)), SQUARE.T]),
}
TRANSPORTS = {**PROBLEMS, "minus infinite start": dict(
    cost=PROBLEMS["plain"]["cost"], row_init=np.array([0.0, -INF, 0.0, 0.0])
)}  # fmt: skip
ORDER = (
    "cost", "matrix", "logits", "query", "key", "value", "bias", "row_marginal",
    "col_marginal", "row_target", "col_target", "target", "row_init", "col_init",
    "row_mask", "col_mask", "mask", "epsilon",
)  # fmt: skip


class Hard:
    def __init__(self, op, problem, operands, element, domain="kernel", stop="fixed"):
        self.op, self.along = op.split("_") if "normalize" in op else (op, None)
        self.problem, self.element, self.domain = problem, element, domain
        self.stop = STOPS[stop]
        self.given = {
            k: (
                operands[k]
                if operands[k].dtype == bool
                else rounded(operands[k], element)
            )
            for k in ORDER
            if k in operands
        }
        ranks = "_".join(f"{k}{np.ndim(v)}" for k, v in self.given.items())
        self.signature = symbol(f"{op}_{ranks}_{element}_{domain}_{stop}")
        self.name = f"{op}, {problem}, {element}, {domain}, {stop}"

    def call(self):
        rules = dict(rows=sr.Rule(), cols=sr.Rule())
        if self.op == "similarity_balance":
            text = ""
        elif self.op == "normalize":
            text = f"numerics(#scaling.numerics<{self.domain}>)"
        else:
            kind = {"attention": "logits", "balance": None}.get(self.op, "cost")
            form = dict(enters=sr.Form(), kind=kind) if kind else {}
            text = assembly.attributes(
                domain=self.domain, **rules, order="rows_first", stop_at=self.stop, **form
            )  # fmt: skip
        return Call(
            self.op, self.given, text, self.element, dims="dynamic", along=self.along
        )

    def reference(self, stop=None):
        """Results in the op's order."""
        g, stop = dict(self.given), stop or self.stop
        if self.op == "similarity_balance":
            balanced, scale, sweeps, status = sr.similarity_balance(g["matrix"])
            # The reference has no limit, and 0 for what ends.
            return balanced, scale, sweeps, np.where(status == 0, sr.CONVERGED, status)
        options = dict(rows=sr.Rule(), cols=sr.Rule(), order="rows_first", stop=stop)
        if self.op == "balance":
            starts = {"row_init": "row_start", "col_init": "col_start"}
            return sr.balance(**{starts.get(k, k): v for k, v in g.items()}, **options)
        options |= dict(domain=self.domain, epsilon=g.get("epsilon"))
        if self.op == "normalize":
            options |= {"order": f"{self.along}_first", "stop": sr.fixed(1)}
            return (self.normalized(options),)
        masks = {k: g.get(k) for k in ("row_mask", "col_mask")}
        if self.op == "attention":
            with np.errstate(all="ignore"):
                logits = g["query"] @ np.swapaxes(g["key"], -1, -2) / np.sqrt(3)
                logits = logits + g.get("bias", 0.0)
            result = sr.project(logits, kind="logits", **masks, **options)
            with np.errstate(all="ignore"):
                return (sr.apply(result.plan, g["value"]), *result[1:])
        run = sr.sinkhorn if self.op == "sinkhorn" else sr.project
        return run(
            g["cost"], kind="cost", row_target=g.get("row_marginal"),
            col_target=g.get("col_marginal"), f_start=g.get("row_init"), **masks, **options,
        )  # fmt: skip

    def normalized(self, options):
        """Each row or column alone; without a status, what diverges is NaN."""
        matrix, target = self.given["logits"], self.given.get("target")
        plan = np.empty(matrix.shape)
        rows = self.along == "rows"
        own, other, axis = ("row", "col", -2) if rows else ("col", "row", -1)
        for i in range(matrix.shape[axis]):
            vectors = {
                f"{own}_target": None if target is None else target[[i]],
                f"{other}_mask": self.given.get("mask"),
            }
            one = sr.project(
                np.take(matrix, [i], axis=axis), kind="logits", **options, **vectors
            )
            bad = np.asarray(one.status == sr.DIVERGED)[..., None, None]
            place = (..., [i], slice(None)) if rows else (..., [i])
            plan[place] = np.where(bad, NAN, one.plan)
        return plan


def along(problems, axis):
    """The problems of rows as problems of that axis."""
    if axis == "rows":
        return problems
    return {
        name: {
            k: np.swapaxes(v, -1, -2) if k == "logits" else v for k, v in given.items()
        }
        for name, given in problems.items()
    }


def cases():
    for element in ("f32", "f64"):
        for name, matrix in SIMILARITIES.items():
            yield Hard("similarity_balance", name, {"matrix": matrix}, element)
        for axis in ("rows", "cols"):
            for domain in ("kernel", "log"):
                for name, given in along(NORMALIZES, axis).items():
                    yield Hard(f"normalize_{axis}", name, given, element, domain)
        for stop in STOPS:
            for name, given in BALANCES.items():
                yield Hard("balance", name, given, element, "kernel", stop)
            for domain in ("kernel", "log"):
                for name, given in ATTENTIONS.items():
                    yield Hard("attention", name, given, element, domain, stop)
                for name, given in TRANSPORTS.items():
                    if element == "f32" and name in RANGE:
                        continue
                    for op in ("sinkhorn", "project"):
                        yield Hard(op, name, given, element, domain, stop)


CASES = {case.name: case for case in cases()}


@pytest.fixture(scope="session")
def programs(route):
    return Programs(route, {case.signature: case.call() for case in CASES.values()})


def close(actual, expected, element):
    bound = {"f32": 2e-5, "f64": 1e-12}[element]
    scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=1.0)
    np.testing.assert_allclose(
        actual, expected, rtol=bound, atol=bound * scale, equal_nan=True
    )


@pytest.mark.parametrize("name", CASES)
def test_problem(programs, name):
    case = CASES[name]
    results = programs.call(case.signature, case.call())
    # A batch that only the values have gets the counts of one problem.
    expected = [
        np.broadcast_to(value, result.shape)
        for value, result in zip(case.reference(), results, strict=True)
    ]
    if case.op == "normalize":
        close(results[0], expected[0], case.element)
        return
    np.testing.assert_array_equal(results[-1], expected[-1])
    if case.op == "similarity_balance":
        for actual, wanted in zip(results, expected):
            np.testing.assert_array_equal(actual, wanted)
        return
    *main, steps, residual, status = results
    bad = status == sr.DIVERGED
    assert np.all(residual[bad] == INF)
    if case.element == "f32" and case.stop.mode == "until":
        # A rounding may move the count; then the results are those at that count.
        assert np.all(np.abs(steps - expected[-3])[~bad] <= case.stop.every)
    else:
        np.testing.assert_array_equal(steps, expected[-3])
    at = functools.lru_cache(lambda count: case.reference(sr.fixed(count)))
    for index in np.ndindex(steps.shape):
        moved = steps[index] != expected[-3][index]
        wanted = at(int(steps[index])) if moved else expected
        for actual, value in zip(main, wanted):
            close(
                actual[index],
                np.broadcast_to(value, actual.shape)[index],
                case.element,
            )
