#!/usr/bin/env python3
"""Every target of the flows, and what is measured, in one table.

    make bench-flows
    build/venv/bin/python benchmark/flows.py --bin build/bin [--out FOLDER]

A call from Python, both routes into IREE, programs that are raised, and
gradients. Times are the best of many calls. Needs test/requirements-flows.txt.
Writes `flows.md` and `flows.json`.
"""

import argparse
import functools
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


def autograd(module, shape):
    """Forward and backward through a loop in PyTorch, as a call without arguments;
    and the gradient that it finds."""
    import torch

    rng = np.random.default_rng(0)
    x, cotangent = map(
        torch.from_numpy, rng.normal(size=(2, *shape)).astype(np.float32)
    )
    x.requires_grad_()

    def call():
        x.grad = None
        module(x).backward(cotangent)
        return x.grad.numpy()

    return call


def mhc_loop(x):
    """mHC's projection as its paper has it: 20 iterations."""
    p = x.softmax(-1) + 1e-6
    p = p / (p.sum(-2, keepdim=True) + 1e-6)
    for _ in range(19):
        p = p / (p.sum(-1, keepdim=True) + 1e-6)
        p = p / (p.sum(-2, keepdim=True) + 1e-6)
    return p


def log_loop(half_steps):
    """A projection on logarithms: rows and columns in turn."""

    def loop(x):
        for i in range(half_steps):
            x = x - x.logsumexp(-1 - i % 2, keepdim=True)
        return x.exp()

    return loop


#: Both potentials of two clouds of points: no matrix is given, none is made.
CLOUDS = """
func.func @f(%x: tensor<{n}x{d}xf32>, %y: tensor<{n}x{d}xf32>)
    -> (tensor<{n}xf32>, tensor<{n}xf32>) {{
  %e = tensor.empty() : tensor<{n}x{n}xf32>
  %C = scaling.pairwise sqeuclidean
      points(%x, %y : tensor<{n}x{d}xf32>, tensor<{n}x{d}xf32>)
      outs(%e : tensor<{n}x{n}xf32>) -> tensor<{n}x{n}xf32>
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<{n}x{n}xf32>)
      form(#scaling.form<cost, epsilon = 0.1>)
      rows(#scaling.rule<sum, target = uniform>)
      cols(#scaling.rule<sum, target = uniform>)
      stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<log>)
  return %f, %g : tensor<{n}xf32>, tensor<{n}xf32>
}}
"""


def cloud_gradients(seconds, n=1024, d=3):
    """Of potentials with respect to points."""
    import torch
    from scaling._programs import CompiledFunction, get_program

    text = CLOUDS.format(n=n, d=d)
    calls = []
    for name, passes in (("f", ""), ("f_vjp", "scaling-differentiate")):
        program = get_program(text, name="f", linalg=False, threads=True, passes=passes)
        calls.append(CompiledFunction(program, name))
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(2, n, d)).astype(np.float32)
    f_bar, g_bar = rng.normal(size=(2, n)).astype(np.float32)
    tx, ty = (torch.from_numpy(a).requires_grad_() for a in (x, y))
    cotangents = [torch.from_numpy(a) for a in (f_bar, g_bar)]

    def loop():
        tx.grad = ty.grad = None
        cost = torch.cdist(tx, ty).square()
        f, g = torch.zeros(n), torch.zeros(n)
        for _ in range(20):
            f = -0.1 * (((g - cost) / 0.1).logsumexp(1) + np.log(n))
            g = -0.1 * (((f[:, None] - cost) / 0.1).logsumexp(0) + np.log(n))
        torch.autograd.backward([f, g], cotangents)
        return tx.grad.numpy(), ty.grad.numpy()

    for got, want in zip(calls[1](x, y, f_bar, g_bar), loop()):
        np.testing.assert_allclose(got, want, atol=1e-3 * np.abs(want).max())
    forward, backward = iree_routes.best(
        [lambda: calls[0](x, y), lambda: calls[1](x, y, f_bar, g_bar)], seconds
    )
    (slow,) = iree_routes.best([loop], seconds)
    title = f"two clouds of {n} points in {d} dimensions, 40 half-steps"
    yield from backward_rows(title, forward, backward, slow)


def backward_rows(title, forward, backward, slow):
    """The whole way back, the forward half-steps again, beside the forward alone
    and PyTorch's forward and backward."""
    yield row(
        f"backward, {title}: {1e3 * backward:.3g} ms, forward {1e3 * forward:.3g} ms",
        backward / forward,
        "× the forward",
    )
    yield row(
        f"the same against PyTorch's autograd of the loop, {1e3 * slow:.3g} ms",
        slow / backward,
        "× faster",
    )


def gradients(seconds):
    """Backward against forward and against autograd; there is no target."""
    import scaling

    cases = (
        ("mHC's 39 half-steps of 65536×4×4", (65536, 4, 4), mhc_loop,
         {"preset": "mhc"}, ["unrolled"]),
        ("40 half-steps of 512×512", (512, 512), log_loop(40), {"half_steps": 40},
         ["unrolled", "implicit"]),
        ("200 half-steps of 512×512", (512, 512), log_loop(200), {"half_steps": 200},
         ["unrolled", "implicit"]),
    )  # fmt: skip
    for title, shape, loop, how, modes in cases:
        x, cotangent = np.random.default_rng(0).normal(size=(2, *shape))
        x, cotangent = x.astype(np.float32), cotangent.astype(np.float32)
        pullbacks = [
            scaling.vjp(scaling.project, x, **how, mode=mode)[1] for mode in modes
        ]
        theirs = autograd(loop, shape)
        expected = theirs()
        for pullback in pullbacks:
            (got,) = pullback(cotangent)
            atol = 1e-3 * np.abs(expected).max()
            np.testing.assert_allclose(got, expected, atol=atol)
        calls = [functools.partial(pullback, cotangent) for pullback in pullbacks]
        forward, *backward = iree_routes.best(
            [lambda: scaling.project(x, **how), *calls], seconds
        )
        # Apart: one call may take as long as all of ours.
        (slow,) = iree_routes.best([theirs], seconds)
        for mode, took in zip(modes, backward):
            yield from backward_rows(f"{mode}, {title}", forward, took, slow)
    yield from cloud_gradients(seconds)


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
