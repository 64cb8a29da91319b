#!/usr/bin/env python3
"""How much faster IREE is with our kernels in the program than with linalg.

    benchmark/iree_routes.py --bin build/bin

Both programs are compiled by IREE and run in its runtime, on all of its
threads, calls of both in turn; the best of many calls each. Writes a Markdown
table.
"""

import argparse
import pathlib
import sys
import time

import numpy as np

PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"
#: Title, program, shape of the logits, and how many times faster it has to be.
CASES = [
    ("projection, 20 iterations, 512×512", "projection", (512, 512), 3),
    ("hyper-connections, 65536×4×4", "hyper_connections", (65536, 4, 4), 20),
]


def best(calls, seconds):
    """The shortest time of each call, made in turn for so long."""
    times = [float("inf")] * len(calls)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for index, call in enumerate(calls):
            begin = time.perf_counter()
            call()
            times[index] = min(times[index], time.perf_counter() - begin)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.bin.resolve().parent / "python"))
    import iree.runtime
    import scaling.iree

    print("| | linalg (ms) | our kernels (ms) | times faster | target |")
    print("|---|---|---|---|---|")
    for title, name, shape, target in CASES:
        text = (PROGRAMS / f"{name}.mlir").read_text()
        logits = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        calls, results = [], []
        for route in ("portable", "fast"):
            module = scaling.iree.compile(text, route=route)
            function = module[name]
            array = iree.runtime.asdevicearray(module.device, logits)
            results.append(function(array))
            calls.append(lambda function=function, array=array: function.raw(array))
        np.testing.assert_allclose(results[1], results[0], rtol=1e-3, atol=1e-7)
        portable, fast = best(calls, arguments.seconds)
        print(
            f"| {title} | {1e3 * portable:.3g} | {1e3 * fast:.3g} "
            f"| {portable / fast:.1f} | {target} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
