#!/usr/bin/env python3
"""How much faster IREE is with our kernels in the program than with linalg.

    benchmark/iree_routes.py --bin build/bin

Both programs are compiled by IREE and run in its runtime, calls of both in
turn; the best of many calls each. On all of the runtime's threads
(`local-task`), and with the calling thread alone (`local-sync`), which has
nobody to wait for. Writes a Markdown table.
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


def measure(seconds):
    """Title, device, milliseconds of either route, and the target."""
    import iree.runtime
    import scaling.iree

    for title, name, shape, target in CASES:
        text = (PROGRAMS / f"{name}.mlir").read_text()
        logits = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        modules = [
            scaling.iree.compile(text, route=route).vmfb
            for route in ("portable", "fast")
        ]
        for driver in ("local-task", "local-sync"):
            calls, results = [], []
            for vmfb in modules:
                config = iree.runtime.Config(driver)
                context = iree.runtime.SystemContext(config=config)
                module = iree.runtime.VmModule.copy_buffer(context.instance, vmfb)
                context.add_vm_module(module)
                function = context.modules[module.name][name]
                array = iree.runtime.asdevicearray(config.device, logits)
                results.append(np.asarray(function(array)))
                calls.append(lambda function=function, array=array: function(array))
            np.testing.assert_allclose(results[1], results[0], rtol=1e-3, atol=1e-7)
            portable, fast = (1e3 * time for time in best(calls, seconds))
            yield title, driver, portable, fast, target


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.bin.resolve().parent / "python"))

    print("| | device | linalg (ms) | our kernels (ms) | times faster | target |")
    print("|---|---|---|---|---|---|")
    for title, driver, portable, fast, target in measure(arguments.seconds):
        print(
            f"| {title} | {driver} | {portable:.3g} | {fast:.3g} "
            f"| {portable / fast:.1f} | {target} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
