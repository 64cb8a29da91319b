"""A layer of hyper-connection mixing (mHC) in JAX: its Sinkhorn part as people
write it, and as one call of scaling.jax. Prints both times and their difference."""

import argparse
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scaling.jax


def plain_mixing(logits, iterations=20, eps=1e-6):
    """Softmax, then columns and rows in turn."""
    p = jax.nn.softmax(logits, axis=-1) + eps
    p = p / (p.sum(axis=-2, keepdims=True) + eps)
    for _ in range(iterations - 1):
        p = p / (p.sum(axis=-1, keepdims=True) + eps)
        p = p / (p.sum(axis=-2, keepdims=True) + eps)
    return p


def fast_mixing(logits):
    return scaling.jax.project(logits, preset="mhc")


def loss(mixing, weights, streams):
    """Mixes the streams of every token by a doubly stochastic matrix of its own."""
    logits = jnp.einsum("tsd,dk->tsk", streams, weights)
    return jnp.mean(jnp.tanh(mixing(logits) @ streams) ** 2)


def best_time(function, *arguments, calls):
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--calls", type=int, default=20)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    shape = (options.tokens, options.streams, options.width)
    streams = rng.normal(size=shape).astype(np.float32)
    weights = rng.normal(size=(options.width, options.streams)).astype(np.float32) / 4
    logits = np.einsum("tsd,dk->tsk", streams, weights)

    how = {"calls": options.calls}
    for what, part, arguments in [
        ("the projection", lambda f: f, (logits,)),
        ("the layer", lambda f: partial(loss, f), (weights, streams)),
        ("its gradients", lambda f: jax.grad(partial(loss, f), (0, 1)), (weights, streams)),
    ]:  # fmt: skip
        plain, fast = jax.jit(part(plain_mixing)), jax.jit(part(fast_mixing))
        flat = lambda tree: np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])
        expected, actual = flat(plain(*arguments)), flat(fast(*arguments))
        error = np.abs(actual - expected).max() / np.abs(expected).max()
        before = best_time(plain, *arguments, **how)
        after = best_time(fast, *arguments, **how)
        print(
            f"{what:15} plain JAX {1e3 * before:8.2f} ms   scaling.jax "
            f"{1e3 * after:7.2f} ms   {before / after:5.1f} x   difference {error:.1e}"
        )


if __name__ == "__main__":
    main()
