#!/usr/bin/env python3
"""Every target of the flows, and what is measured, in one table.

    make bench-flows
    build/venv/bin/python benchmark/flows.py --bin build/bin [--out FOLDER]

A call from Python, both routes into IREE, programs that are raised, and
gradients. Times are the best of many calls. Needs test/requirements-flows.txt.
Writes `flows.md` and `flows.json`.
"""

import argparse
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

import iree_routes

# The name of the module is a keyword.
raising = importlib.import_module("raise")

#: A process of its own, whose cache is empty: what the first user waits for.
FIRST_CALL = """
import json, time
begin = time.perf_counter()
import numpy as np
loaded = time.perf_counter()
import scaling
imported = time.perf_counter()
times = []
for shape in ((4, 4), (512, 512)):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    start = time.perf_counter()
    scaling.project(x, preset="mhc")
    times.append(time.perf_counter() - start)
print(json.dumps([imported - loaded, *times]))
"""


def row(what, measured, unit, target="", met=None):
    return {
        "what": what,
        "measured": measured,
        "unit": unit,
        "target": target,
        "met": met,
    }


def below(what, measured, unit, limit):
    return row(what, measured, unit, f"< {limit:g} {unit}", measured < limit)


def times_faster(what, slow, fast, target):
    ratio = slow / fast
    return row(
        f"{what}: {fast:.3g} ms, {slow:.3g} ms without",
        ratio,
        "×",
        f"{target} ×",
        ratio >= target,
    )


def python_calls(package):
    """Of the package: import, first calls, overhead."""
    import scaling

    seconds = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as cache:
            environment = {
                **os.environ,
                "SCALING_CACHE_DIR": cache,
                "PYTHONPATH": os.pathsep.join(
                    filter(None, (str(package), os.environ.get("PYTHONPATH")))
                ),
            }
            printed = subprocess.run(
                [sys.executable, "-c", FIRST_CALL],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            seconds.append(json.loads(printed))
    imported, small, large = np.min(seconds, axis=0)
    yield row("import scaling, NumPy loaded", imported, "s")
    yield below("first call, project of 4×4, nothing compiled", small, "s", 1)
    yield below("first call, project of 512×512, nothing compiled", large, "s", 1)

    x = np.eye(4, dtype=np.float32)
    (call,) = iree_routes.best(
        [lambda: [scaling.project(x, preset="mhc") for _ in range(100)]], 2.0
    )
    yield below("a call, project of 4×4, all of it", 1e4 * call, "µs", 20)


def gradients(seconds):
    """Backward against forward; there is no target."""
    import scaling

    for title, shape in (("512×512", (512, 512)), ("65536×4×4", (65536, 4, 4))):
        rng = np.random.default_rng(0)
        x, cotangent = rng.normal(size=(2, *shape)).astype(np.float32)
        arguments = dict(preset="mhc")
        _, pullback = scaling.vjp(scaling.project, x, **arguments)
        forward, backward = iree_routes.best(
            [
                lambda: scaling.project(x, **arguments),
                lambda: pullback(cotangent),
            ],
            seconds,
        )
        yield row(
            f"backward (forward again included), 20 iterations of {title}: "
            f"{1e3 * backward:.3g} ms, forward {1e3 * forward:.3g} ms",
            backward / forward,
            "× the forward",
        )

    x, cotangent = rng.normal(size=(2, 512, 512)).astype(np.float32)
    unrolled, implicit = (
        scaling.vjp(scaling.project, x, half_steps=200, mode=mode)[1]
        for mode in ("unrolled", "implicit")
    )
    slow, fast = iree_routes.best(
        [lambda: unrolled(cotangent), lambda: implicit(cotangent)], seconds
    )
    yield row(
        f"backward of 200 half-steps of 512×512, implicit: {1e3 * fast:.3g} ms, "
        f"unrolled {1e3 * slow:.3g} ms",
        slow / fast,
        "× faster",
    )


def raised_programs(tools):
    """Dispatches in IREE, times there, and the time of the pass."""
    import torch

    torch.manual_seed(0)
    cases = [
        ("DeepSeek-V4 hyper-connection", raising.hyper_connection(), 8, None),
        (
            "SuperGlue 256×256",
            (raising.Matching(), torch.randn(1, 256, 256)),
            3,
            20,
        ),
    ]
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = pathlib.Path(name)
        plain, after = folder / "plain.mlir", folder / "raised.mlir"
        for title, (module, x), dispatches, target in cases:
            plain.write_text(raising.export(module, x))
            _, milliseconds = raising.raised(tools, plain, after)
            yield below(f"{title}: matching", 1e-3 * milliseconds, "s", 5)
            got, before, slow = raising.iree(plain, x.numpy(), folder, embedded=False)
            same, left, fast = raising.iree(after, x.numpy(), folder, embedded=True)
            np.testing.assert_allclose(same, got, rtol=1e-4, atol=1e-4)
            yield row(
                f"{title}: dispatches in IREE, {before} before",
                left,
                "",
                f"≤ {dispatches}",
                left <= dispatches,
            )
            if target:
                yield times_faster(f"{title}: in IREE", slow, fast, target)


def routes(seconds):
    for title, device, portable, fast, target in iree_routes.measure(seconds):
        threads = "all threads" if device == "local-task" else "one thread"
        yield times_faster(f"IREE, {title}, {threads}", portable, fast, target)


def table(rows):
    lines = ["| | measured | target | met |", "|---|---|---|---|"]
    for entry in rows:
        met = {None: "", True: "yes", False: "no"}[entry["met"]]
        number = f"{entry['measured']:.3g} {entry['unit']}".strip()
        lines.append(f"| {entry['what']} | {number} | {entry['target']} | {met} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    package = arguments.bin.resolve().parent / "python"
    sys.path.insert(0, str(package))

    rows = []
    for part in (
        python_calls(package),
        routes(arguments.seconds),
        raised_programs(arguments.bin),
        gradients(arguments.seconds),
    ):
        for entry in part:
            print(table([entry]).splitlines()[-1], flush=True)
            entry["met"] = None if entry["met"] is None else bool(entry["met"])
            rows.append({**entry, "measured": float(entry["measured"])})
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "flows.md").write_text(table(rows))
        (arguments.out / "flows.json").write_text(
            json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
        )


if __name__ == "__main__":
    main()
