"""The workloads: what is computed, on which inputs, and what it must cost.

A workload is one MLIR program of `programs/` at one or more sizes. Peers
implement its recurrence under the workload's name (`recurrence`); everything
they are given and everything they must return is described here.
"""

import dataclasses
import pathlib
import re
import zlib
from collections.abc import Callable

import numpy as np

PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"
#: Iterations of the recurrences with a fixed count.
ITERATIONS = 20
#: GeomLoss's parameters in the cloud workload.
DIAMETER, BLUR, SCALING = 1.0, 0.05, 0.9
FLOATS = {"f32": np.float32, "f64": np.float64}


@dataclasses.dataclass(frozen=True)
class Count:
    """The least a machine must do for one call.

    `traffic` are pairs of bytes moved and the size of the set they are moved
    from again and again, which decides the cache level. Loads are those of
    whole vectors, fmas and exponentials of single elements.
    """

    traffic: tuple[tuple[float, float], ...]
    fmas: float = 0.0
    loads: float = 0.0
    exponentials: float = 0.0
    element: int = 4


@dataclasses.dataclass(frozen=True)
class Workload:
    """One program at one size."""

    id: str
    title: str
    recurrence: str
    program: str
    function: str
    #: The sizes by name, and what each number in the program's types stands for.
    sizes: dict[str, int]
    literals: dict[str, Callable[[dict], int]]
    make_inputs: Callable[[np.random.Generator, dict], dict]
    #: Shape and element type of every result.
    make_results: Callable[[dict], list]
    #: Ways to do the work (sizes, results of a run): the cheapest is the limit.
    counts: Callable[[dict, list], list[Count]]
    #: Small sizes for the smoke test.
    small: dict[str, int]
    element: str = "f32"
    #: Largest difference of results, relative to the largest entry.
    tolerance: float = 1e-4
    #: For what iterates to a tolerance: the L1 error of both marginals.
    marginal_error: float | None = None

    def at(self, sizes):
        """The same workload at other sizes."""
        return dataclasses.replace(self, sizes={**self.sizes, **sizes})

    def text(self):
        """The program, its types changed to the sizes and the element type."""
        source = (PROGRAMS / self.program).read_text()

        def change(match):
            words = match.group(1).split("x")
            if len(words) > 1 and words[-1] == "f32":
                words[-1] = self.element
            words = [
                str(self.literals[w](self.sizes)) if w in self.literals else w
                for w in words
            ]
            return f"tensor<{'x'.join(words)}>"

        return re.sub(r"tensor<([0-9a-z]+)>", change, source)

    def inputs(self):
        """The arguments by name, the same in every process."""
        seed = zlib.crc32(self.id.encode())
        return self.make_inputs(np.random.default_rng(seed), self.sizes)

    def results(self):
        return self.make_results(self.sizes)


def marginal_errors(plan):
    """L1 errors of the row and column sums of a plan with uniform marginals."""
    plan = np.asarray(plan, np.float64)
    n, m = plan.shape
    rows = np.abs(plan.sum(axis=1) - 1 / n).sum()
    cols = np.abs(plan.sum(axis=0) - 1 / m).sum()
    return float(rows), float(cols)


def difference(actual, expected):
    """The largest difference, relative to the largest finite entry."""
    worst = 0.0
    for x, y in zip(actual, expected):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        if x.shape != y.shape:
            return float("inf")
        error = np.max(np.abs(x - y)) / max(np.max(np.abs(y)), 1e-300)
        worst = max(worst, float(error) if np.isfinite(error) else float("inf"))
    return worst


def geomloss_epsilons():
    """GeomLoss's schedule: the diameter, a geometric descent, the blur; cost
    |x - y|²/2."""
    start, stop, step = (2 * np.log(x) for x in (DIAMETER, BLUR, SCALING))
    return [DIAMETER**2, *np.exp(np.arange(start, stop, step)), BLUR**2]


def sweep_count(n, m, sweeps, passes=3, element=4, fmas=2.0, exponentials=1.0):
    """A matrix of n·m read once per sweep (two loads a vector) and `passes` more
    times, in full, on the way in and out."""
    size = n * m * element
    return Count(
        traffic=(((sweeps + passes) * size, size),),
        fmas=fmas * sweeps * n * m,
        loads=2 * sweeps * size / 64,
        exponentials=exponentials * n * m,
        element=element,
    )


def normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def uneven(rng, n, m, sigma):
    """Normally distributed entries with lognormal row and column scales."""
    rows, cols = rng.lognormal(0, sigma, (n, 1)), rng.lognormal(0, sigma, m)
    return rng.standard_normal((n, m)) * rows * cols


def plane_cost(rng, n):
    """Squared distances of two clouds in the unit square, and ε = 0.01 of their
    mean."""
    x, y = rng.random((n, 2)), rng.random((n, 2))
    cost = ((x[:, None] - y) ** 2).sum(axis=2)
    return {"C": cost.astype(np.float32), "epsilon": np.array(0.01 * cost.mean())}


def batched_count(b, n):
    """The matrices cross memory once each way; iterations read them from L1, or
    hold them in registers."""
    entries = b * n * n
    return Count(
        traffic=((8 * entries, 8 * entries),),
        fmas=2 * ITERATIONS * entries,
        loads=0 if n <= 4 else ITERATIONS * entries / 16,
        exponentials=entries,
    )


def cloud_counts(n, d):
    """Costs made anew in every step, or stored."""
    steps = len(geomloss_epsilons()) + 2
    pairs = n * n * steps
    anew = Count(traffic=(), fmas=(d + 3) * pairs, exponentials=pairs)
    stored = Count(
        traffic=(((steps + 1) * 4 * n * n, 4 * n * n),),
        fmas=d * n * n + 3 * pairs,
        exponentials=pairs,
    )
    return [anew, stored]


def attention_count(heads, n, d, iterations, threads=2):
    """One head per thread, its matrix kept; then times V."""
    matrix = 4 * n * n
    return Count(
        traffic=((heads * matrix * (iterations + 2), matrix * threads),),
        fmas=heads * n * n * (2 * d + 2 * iterations),
        loads=2 * iterations * heads * matrix / 64,
        exponentials=heads * n * n,
    )


def literal(**names):
    """Numbers of a program that stand for a size: literal(n="512")."""
    return {
        number: (lambda sizes, name=name: sizes[name]) for name, number in names.items()
    }


def projections():
    for n in (512, 1024, 2048):
        yield Workload(
            id=f"W1-{n}",
            title=f"projection of {n}×{n} logits, 20 iterations",
            recurrence="projection",
            program="projection.mlir",
            function="projection",
            sizes={"n": n},
            literals=literal(n="512"),
            small={"n": 17},
            make_inputs=lambda rng, s: {"S": normal(rng, s["n"], s["n"])},
            make_results=lambda s: [((s["n"], s["n"]), np.float32)],
            counts=lambda s, _: [sweep_count(s["n"], s["n"], ITERATIONS)],
        )


def transports():
    for n in (512, 1024):
        yield Workload(
            id=f"W2-{n}",
            title=f"entropic transport, n = {n}, ε = 0.01 of the mean cost, "
            "to an L1 error of 1e-5",
            recurrence="transport",
            program="transport.mlir",
            function="transport",
            sizes={"n": n},
            literals=literal(n="512"),
            small={"n": 65},
            make_inputs=lambda rng, s: plane_cost(rng, s["n"]),
            make_results=lambda s: [((s["n"], s["n"]), np.float32), ((), np.int32)],
            counts=lambda s, r: [sweep_count(s["n"], s["n"], int(r[1]) / 2)],
            marginal_error=1e-5,
        )


def batches():
    for b, n in ((65536, 4), (8192, 16), (512, 64)):
        yield Workload(
            id=f"W3-{n}x{n}",
            title=f"{b} hyper-connections of {n}×{n}, 20 iterations",
            recurrence="hyper_connections",
            program="hyper_connections.mlir",
            function="hyper_connections",
            sizes={"b": b, "n": n},
            literals=literal(b="65536", n="4"),
            small={"b": 37},
            make_inputs=lambda rng, s: {"S": normal(rng, s["b"], s["n"], s["n"])},
            make_results=lambda s: [((s["b"], s["n"], s["n"]), np.float32)],
            counts=lambda s, _: [batched_count(s["b"], s["n"])],
        )


def clouds():
    for d in (3, 64):
        yield Workload(
            id=f"W4-d{d}",
            title=f"clouds of 4096 points, d = {d}, GeomLoss's schedule, "
            "blur 0.05, scaling 0.9",
            recurrence="cloud",
            program="cloud.mlir",
            function="cloud",
            sizes={"n": 4096, "d": d},
            literals=literal(n="4096", d="3"),
            small={"n": 21, "d": min(d, 5)},
            # The unit cube, scaled to the diameter 1.
            make_inputs=lambda rng, s: {
                name: (rng.random((s["n"], s["d"])) / np.sqrt(s["d"])).astype(
                    np.float32
                )
                for name in ("x", "y")
            },
            make_results=lambda s: [((s["n"],), np.float32)] * 2,
            counts=lambda s, _: cloud_counts(s["n"], s["d"]),
            tolerance=1e-3,
        )


def attentions():
    for program, n, iterations in (("attention", 1024, 3), ("attention_short", 256, 5)):
        yield Workload(
            id=f"W5-{n}",
            title=f"doubly stochastic attention, 8 heads, N = {n}, d = 64, "
            f"{iterations} row-and-column iterations",
            recurrence="attention",
            program=f"{program}.mlir",
            function="attention",
            sizes={"h": 8, "n": n, "d": 64, "iterations": iterations},
            literals=literal(h="8", n=str(n), d="64"),
            small={"h": 2, "n": 19, "d": 7},
            make_inputs=lambda rng, s: {
                name: normal(rng, s["h"], s["n"], s["d"]) for name in ("q", "k", "v")
            },
            make_results=lambda s: [((s["h"], s["n"], s["d"]), np.float32)],
            counts=lambda s, _: [
                attention_count(s["h"], s["n"], s["d"], s["iterations"])
            ],
            tolerance=1e-3,
        )


def gebal():
    yield Workload(
        id="W6-gebal",
        title="gebal, n = 1024, f64",
        recurrence="gebal",
        program="gebal.mlir",
        function="gebal",
        sizes={"n": 1024},
        literals=literal(n="1024"),
        small={"n": 23},
        make_inputs=lambda rng, s: {"A": uneven(rng, s["n"], s["n"], 2.0)},
        make_results=lambda s: [
            ((s["n"], s["n"]), np.float64),
            ((s["n"],), np.float64),
            ((), np.int32),
        ],
        # The matrix and its transpose, each read once per sweep.
        counts=lambda s, r: [
            sweep_count(2 * s["n"], s["n"], int(r[2]), 3, 8, 1.0, 0.0)
        ],
        tolerance=0.0,
    )


def ruiz():
    for element in ("f64", "f32"):
        size = np.dtype(FLOATS[element]).itemsize
        yield Workload(
            id=f"W6-ruiz-{element}",
            title=f"Ruiz equilibration, n = 1024, {element}, 10 iterations",
            recurrence="ruiz",
            program="ruiz.mlir",
            function="ruiz",
            sizes={"n": 1024},
            literals=literal(n="1024"),
            small={"n": 23},
            make_inputs=lambda rng, s, dtype=FLOATS[element]: {
                "A": uneven(rng, s["n"], s["n"], 1.0).astype(dtype)
            },
            make_results=lambda s, dtype=FLOATS[element]: [((s["n"],), dtype)] * 2,
            counts=lambda s, _, size=size: [
                sweep_count(s["n"], s["n"], 10, 0, size, 2.0, 0.0)
            ],
            element=element,
        )


def sinq():
    yield Workload(
        id="W7-sinq",
        title="SINQ statistics of 4096×4096, 16 iterations, and the scaled matrix",
        recurrence="sinq",
        program="sinq.mlir",
        function="sinq",
        sizes={"n": 4096},
        literals=literal(n="4096"),
        small={"n": 29},
        # So uneven that all 16 iterations improve it; none is done after the
        # first that does not.
        make_inputs=lambda rng, s: {
            "W": uneven(rng, s["n"], s["n"], 2.5).astype(np.float32)
        },
        make_results=lambda s: [((s["n"], s["n"]), np.float32)]
        + [((s["n"],), np.float32)] * 2,
        counts=lambda s, _: [sweep_count(s["n"], s["n"], 16, 2, 4, 4.0, 0.0)],
        tolerance=1e-3,
    )


def superglue():
    yield Workload(
        id="W8-superglue",
        title="SuperGlue's matching of 1024×1024 with dustbins, 100 iterations",
        recurrence="superglue",
        program="superglue.mlir",
        function="superglue",
        sizes={"n": 1024},
        literals={**literal(n="1024"), "1025": lambda sizes: sizes["n"] + 1},
        small={"n": 23},
        make_inputs=lambda rng, s: {
            "S": normal(rng, s["n"], s["n"]),
            "alpha": np.array(1.0, np.float32),
        },
        make_results=lambda s: [((s["n"] + 1, s["n"] + 1), np.float32)],
        counts=lambda s, _: [sweep_count(s["n"] + 1, s["n"] + 1, 100)],
    )


def assignments():
    yield Workload(
        id="W9-swav",
        title="SwAV, 4096×3000, 3 iterations",
        recurrence="swav",
        program="swav.mlir",
        function="swav",
        sizes={"n": 4096, "m": 3000},
        literals=literal(n="4096", m="3000"),
        small={"n": 31, "m": 13},
        # Scores are cosines of random directions.
        make_inputs=lambda rng, s: {
            "S": np.clip(0.15 * normal(rng, s["n"], s["m"]), -1, 1)
        },
        make_results=lambda s: [((s["n"], s["m"]), np.float32)],
        counts=lambda s, _: [sweep_count(s["n"], s["m"], 3)],
    )
    yield Workload(
        id="W9-experts",
        title="32768 tokens to 256 experts, logits 4·N(0, 1), to an L1 error of 1e-4",
        recurrence="experts",
        program="experts.mlir",
        function="experts",
        sizes={"n": 32768, "m": 256},
        literals=literal(n="32768", m="256"),
        small={"n": 101, "m": 9},
        make_inputs=lambda rng, s: {"S": 4 * normal(rng, s["n"], s["m"])},
        make_results=lambda s: [((s["n"], s["m"]), np.float32), ((), np.int32)],
        counts=lambda s, r: [sweep_count(s["n"], s["m"], int(r[1]) / 2)],
        marginal_error=1e-4,
    )
    yield Workload(
        id="W9-sinkgd",
        title="SinkGD, 4096×11008, 5 iterations",
        recurrence="sinkgd",
        program="sinkgd.mlir",
        function="sinkgd",
        sizes={"n": 4096, "m": 11008},
        literals=literal(n="4096", m="11008"),
        small={"n": 31, "m": 45},
        make_inputs=lambda rng, s: {"G": normal(rng, s["n"], s["m"])},
        make_results=lambda s: [((s["n"], s["m"]), np.float32)],
        counts=lambda s, _: [sweep_count(s["n"], s["m"], 5, 2, 4, 2.0, 0.0)],
    )


def all_workloads():
    return [
        workload
        for group in (
            projections, transports, batches, clouds, attentions,
            gebal, ruiz, sinq, superglue, assignments,
        )
        for workload in group()
    ]  # fmt: skip


def select(names):
    """Workloads by full name or by what stands before the first dash."""
    workloads = all_workloads()
    known = {w.id for w in workloads} | {w.id.split("-")[0] for w in workloads}
    for name in names:
        if name not in known:
            raise SystemExit(f"error: no workload {name}; there are: {sorted(known)}")
    return [
        w for w in workloads if not names or {w.id, w.id.split("-")[0]} & set(names)
    ]
