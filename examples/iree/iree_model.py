"""A model in IREE, with and without our kernels in it.

    examples/iree/iree_model.py [--heads 8] [--seconds 2]

Needs the package scaling and iree-base-compiler, iree-base-runtime.
"""

import argparse
import pathlib
import time

import numpy as np
import scaling.iree

MODEL = pathlib.Path(__file__).with_name("attention.mlir")


def milliseconds(function, arrays, seconds):
    """Of the fastest of the calls in so many seconds."""
    shortest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        function(*arrays)
        shortest = min(shortest, time.perf_counter() - begin)
    return 1e3 * shortest


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    q, k, v = (
        rng.normal(size=(arguments.heads, *shape)).astype(np.float32)
        for shape in ((256, 64), (64, 256), (256, 64))
    )
    q /= 8

    text = MODEL.read_text()
    fast = scaling.iree.compile(text)
    portable = scaling.iree.compile(text, route="portable")
    difference = np.abs(fast.attend(q, k, v) - portable.attend(q, k, v)).max()
    print(f"results differ by {difference:.1e}")
    times = [
        milliseconds(module.attend, (q, k, v), arguments.seconds)
        for module in (portable, fast)
    ]
    print(f"linalg: {times[0]:.2f} ms, with our kernel: {times[1]:.2f} ms")
    print(f"{times[0] / times[1]:.1f} times faster")


if __name__ == "__main__":
    main()
