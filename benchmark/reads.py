"""How often the matrix is read until the marginals are met, and how long it takes.

    benchmark/reads.py --bin build/bin [-n 512] [--seeds 1]

Four transport problems and two that are symmetric, in f64, to an L1 error of
1e-6, by every way of making more of a read. Writes a Markdown table.
"""

import argparse
import ctypes
import pathlib
import subprocess
import tempfile
import time

import numpy as np
from peers.ours import descriptor

TOLERANCE = 1e-6
LIMIT = 20001
#: What goes into `stop`, and into `form` with the largest cost for {}.
WAYS = {
    "plain": ("relax = none", ""),
    "ω": ("relax = auto", ""),
    "Anderson": ("relax = anderson", ""),
    "ε-scaling": ("relax = none", ", anneal = geometric({}, 0.9)"),
    "ε-scaling, ω": ("relax = auto", ", anneal = geometric({}, 0.9)"),
    "symmetric": ("relax = none", ""),
}


def squared_distances(x, y):
    return ((x[:, None] - y) ** 2).sum(axis=2)


def problems(rng, n):
    """Name, cost, marginals (one if both are the same), and temperature as a
    part of the mean cost."""

    def weights():
        values = rng.uniform(0.5, 1.5, n)
        return values / values.sum()

    def clusters():
        centres = rng.normal(size=(8, 2)) * 3
        return centres[rng.integers(8, size=n)] + rng.normal(size=(n, 2)) / 10

    x, y = rng.random((n, 2)), rng.random((n, 2)) * 0.8 + 0.3
    smooth, random = squared_distances(x, y), rng.random((n, n))
    two = weights(), weights()
    return [
        ("smooth clouds, 0.01", smooth, two, 0.01),
        ("smooth clouds, 0.002", smooth, two, 0.002),
        ("random cost, 0.01", random, two, 0.01),
        ("eight clusters, 0.02", squared_distances(clusters(), clusters()), two, 0.02),
        ("a cloud and itself, 0.01", squared_distances(x, x), two[:1], 0.01),
        ("a cloud and itself, 0.002", squared_distances(x, x), two[:1], 0.002),
    ]


def program(name, n, way, epsilon, largest):
    """With the columns judged the rows are exact, and a read serves both."""
    relax, anneal = WAYS[way]
    schedule = anneal.format(f"{largest:.16e}")
    one = way == "symmetric"
    matrix, vector = f"tensor<{n}x{n}xf64>", f"tensor<{n}xf64>"
    column = "" if one else f"col_marginal(%b : {vector})"
    order, start = ("symmetric", 0) if one else ("rows_first", 1)
    every = 1 if one else 2
    return f"""
func.func @{name}(%C: {matrix}, %a: {vector}, %b: {vector})
    -> ({vector}, {vector}, tensor<i32>, tensor<i32>) {{
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : {matrix})
      row_marginal(%a : {vector}) {column}
      form(#scaling.form<cost, epsilon = {epsilon:.16e}{schedule}>)
      rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order({order})
      stop(#scaling.stop<until {TOLERANCE:.1e}, axis = cols, every = {every},
           start = {start}, limit = {LIMIT}, {relax}>)
      numerics(#scaling.numerics<absorb>)
  return %f, %g, %k, %s : {vector}, {vector}, tensor<i32>, tensor<i32>
}}
"""


def compile_shared(tools, text, folder):
    source = pathlib.Path(folder) / "reads.mlir"
    source.write_text(text)
    library = source.with_suffix(".so")
    command = [tools / "scaling-compile", source, "--emit=shared", "-o", library]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def error_of(cost, a, b, f, g, epsilon):
    """The L1 errors of both marginals, from the potentials."""
    plan = np.exp((f[:, None] + g - cost) / epsilon)
    return np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - b).sum()


def measure(function, cost, a, b, epsilon, way):
    """Reads and milliseconds; None where the limit was reached."""
    n = len(a)
    f, g, k, s = (
        np.empty(n),
        np.empty(n),
        np.empty((), np.int32),
        np.empty((), np.int32),
    )
    words = [descriptor(array) for array in (cost, a, b, f, g, k, s)]
    references = [ctypes.byref(word) for word in words]
    times = []
    while len(times) < 2 or (sum(times) < 0.3 and len(times) < 20):
        begin = time.perf_counter()
        function(*references)
        times.append(time.perf_counter() - begin)
    if s != 1:
        return None
    error = error_of(cost, a, b, f, g, epsilon)
    if not error < 2 * TOLERANCE:
        raise RuntimeError(f"{way}: an L1 error of {error:.1e}")
    return int(k) if way == "symmetric" else (int(k) + 1) // 2, 1e3 * min(times)


def cell(results):
    """The geometric mean over the seeds."""
    if not results:
        return "–"
    if any(result is None for result in results):
        return f"> {LIMIT // 2}"
    reads, times = np.exp(np.log(np.array(results)).mean(axis=0))
    return f"{reads:.0f} ({times:.3g})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("-n", type=int, default=512)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    results, names = {}, []
    for seed in range(arguments.seeds):
        instances = problems(np.random.default_rng(seed), arguments.n)
        names = [name for name, *_ in instances]
        calls = {
            (i, way): (cost, marginals, epsilon * cost.mean())
            for i, (_, cost, marginals, epsilon) in enumerate(instances)
            for way in WAYS
            if way != "symmetric" or len(marginals) == 1
        }
        symbols = {key: f"f{number}" for number, key in enumerate(calls)}
        text = "".join(
            program(symbols[key], arguments.n, key[1], epsilon, cost.max())
            for key, (cost, _, epsilon) in calls.items()
        )
        with tempfile.TemporaryDirectory(prefix="scaling-reads-") as folder:
            library = compile_shared(arguments.bin, text, folder)
        for key, (cost, marginals, epsilon) in calls.items():
            function = getattr(library, f"_mlir_ciface_{symbols[key]}")
            a, b = marginals[0], marginals[-1]
            result = measure(function, cost, a, b, epsilon, key[1])
            results.setdefault(key, []).append(result)
    print("| reads (ms) | " + " | ".join(WAYS) + " |")
    print("|---|" + "---|" * len(WAYS))
    for i, name in enumerate(names):
        row = [cell(results.get((i, way), [])) for way in WAYS]
        print(f"| {name} | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
