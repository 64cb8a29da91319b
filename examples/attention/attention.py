#!/usr/bin/env python3
"""Doubly stochastic attention on handwritten digits, compiled and checked.

scikit-learn's 8 x 8 digits become 16 tokens of 2 x 2 pixels; a fixed random
projection makes queries, keys and values of four heads. attention.mlir is
compiled, run on all images, and compared with NumPy in f64.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent), str(ROOT / "test" / "reference")]

import compiled  # noqa: E402
import scaling_reference as sr  # noqa: E402

HEADS, WIDTH, CHANNELS, TOKENS = 4, 8, 4, 16


def digit_tokens():
    """All images as [n, 16, 4]: the pixels of every 2 x 2 patch, 0 to 1."""
    from sklearn.datasets import load_digits

    images = load_digits().images / 16.0
    patches = images.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(patches.reshape(-1, TOKENS, CHANNELS), np.float32)


def weights(seed):
    rng = np.random.default_rng(seed)
    projections = rng.normal(size=(3, HEADS, CHANNELS, WIDTH)) / np.sqrt(CHANNELS)
    # Sharper than at the start of a training, so that there is something to balance.
    projections[:2] *= 3
    out = rng.normal(size=(HEADS, WIDTH, CHANNELS)) / np.sqrt(HEADS * WIDTH)
    return [np.ascontiguousarray(w, np.float32) for w in (*projections, out)]


def reference_block(x, wq, wk, wv, wo, stop, **attention):
    """The block in f64; also the weights of the attention and the residual."""
    x, wq, wk, wv, wo = (np.asarray(a, np.float64) for a in (x, wq, wk, wv, wo))
    q, k, v = (np.einsum("btc,hcd->bhtd", x, w) for w in (wq, wk, wv))
    result = sr.attention(q, k, v, stop=stop, **attention)
    y = x + np.einsum("bhtd,hdc->btc", result.output, wo)
    return y, result.weights, result.residual


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the projections (0)")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("out"), help="(out)"
    )
    parser.add_argument(
        "--pipeline",
        choices=["cpu", "linalg"],
        help="how to compile (scaling-compile's default)",
    )
    parser.add_argument(
        "--bin",
        type=pathlib.Path,
        default=compiled.default_bin(),
        help="where the tools are",
    )
    arguments = parser.parse_args()
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"error: cannot write to '{arguments.out}': {error.strerror}")

    x, matrices = digit_tokens(), weights(arguments.seed)
    print(f"compile: attention.mlir for {len(x)} digits of {TOKENS} tokens", flush=True)
    program = compiled.Program(
        HERE / "attention.mlir", arguments.out, arguments.bin, arguments.pipeline
    )
    start = time.perf_counter()
    y, residual = program.call(
        "block", [x, *matrices], [(x.shape, np.float32), ((len(x), HEADS), np.float32)]
    )
    seconds = time.perf_counter() - start

    print("check: the same block in NumPy, f64", flush=True)
    stop = sr.fixed(3, measure="last", axis="cols", norm="l1")
    expected, plan, expected_residual = reference_block(x, *matrices, stop)
    softmax = reference_block(
        x, *matrices, sr.fixed(1), rows=sr.Rule(), cols=sr.Rule(), form=sr.Form()
    )[1]
    summary = {
        "digits": len(x),
        "heads": HEADS,
        "largest_difference": float(np.abs(y - expected).max()),
        "largest_difference_residual": float(
            np.abs(residual - expected_residual).max()
        ),
        "residual_mean": float(residual.mean(dtype=np.float64)),
        "column_sums": [float(plan.sum(-2).min()), float(plan.sum(-2).max())],
        "column_sums_softmax": [
            float(softmax.sum(-2).min()),
            float(softmax.sum(-2).max()),
        ],
        "seconds": {"compile": program.compile_seconds, "run": seconds},
    }
    (arguments.out / "attention.json").write_text(json.dumps(summary, indent=2) + "\n")
    low, high = summary["column_sums"]
    soft_low, soft_high = summary["column_sums_softmax"]
    print(f"""
doubly stochastic attention: {len(x)} digits, {HEADS} heads, {TOKENS} x {TOKENS}
  first token computed   {" ".join(f"{value:9.6f}" for value in y[0, 0])}
  and by the reference   {" ".join(f"{value:9.6f}" for value in expected[0, 0])}
  largest difference     {summary["largest_difference"]:.1e} (residuals {summary["largest_difference_residual"]:.1e})
  columns of attention   sum to {low:.2f} ... {high:.2f}; of softmax to {soft_low:.2f} ... {soft_high:.2f}
  seconds                compile {program.compile_seconds:.2f}, run {seconds:.3f}
  written                {arguments.out}/attention.json
""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
