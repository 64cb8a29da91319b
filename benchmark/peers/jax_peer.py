"""JAX, jitted, on the CPU."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from workloads import ITERATIONS, geomloss_epsilons

from . import Implementations, Prepared


class Jax(Implementations):
    """In f32: f64 would be cut to it without a word."""

    def forms(self, workload):
        return {} if workload.element == "f64" else super().forms(workload)


PEER = Jax()


def prepared(function, inputs, read=None):
    """A jitted function of the inputs; `read` makes its results the program's."""
    compiled = jax.jit(function)
    arguments = [jnp.asarray(x) for x in inputs.values()]
    return Prepared(
        lambda: jax.block_until_ready(compiled(*arguments)),
        lambda raw: [np.asarray(x) for x in (read(raw) if read else (raw,))],
    )


@PEER.implements("projection", "P1")
def projection_log(workload, inputs):
    """Log domain: f = -LSE_row(S + g), g = -LSE_col(S + f)."""

    def run(S):
        def step(_, potentials):
            f, g = potentials
            f = -logsumexp(S + g, axis=1)
            return f, -logsumexp(S + f[:, None], axis=0)

        f, g = jnp.zeros(S.shape[0]), jnp.zeros(S.shape[1])
        f, g = jax.lax.fori_loop(0, ITERATIONS, step, (f, g))
        return jnp.exp(S + f[:, None] + g)

    return prepared(run, inputs)


@PEER.implements("projection", "P2")
def projection_kernel(workload, inputs):
    """Kernel domain, not safe: K = exp(S), u = 1/Kv, v = 1/K'u."""

    def run(S):
        K = jnp.exp(S)

        def step(_, v):
            return 1 / ((1 / (K @ v)) @ K)

        v = jax.lax.fori_loop(0, ITERATIONS - 1, step, jnp.ones(S.shape[1]))
        u = 1 / (K @ v)
        v = 1 / (u @ K)
        return u[:, None] * K * v

    return prepared(run, inputs)


#: Each check costs a read; users check every tenth iteration.
CHECK_EVERY = 10
THRESHOLDS = (3e-5, 2e-5, 1.4e-5, 1e-5, 7e-6, 5e-6, 2e-6, 1e-6)


def kernel_transport(K, threshold):
    """u = (1/n)/Kv, v = (1/m)/K'u until the rows are right to `threshold` in the
    1-norm, looked at every ten iterations."""
    n, m = K.shape

    def block(state):
        u, v, _ = state
        for _ in range(CHECK_EVERY):
            u = (1 / n) / (K @ v)
            v = (1 / m) / (u @ K)
        error = jnp.sum(jnp.abs(u * (K @ v) - 1 / n))
        return u, v, error

    start = (jnp.ones(n), jnp.ones(m), jnp.inf)
    u, v, _ = jax.lax.while_loop(lambda s: s[2] > threshold, block, start)
    return u[:, None] * K * v


@PEER.implements("transport", "P1", THRESHOLDS)
def transport_log(workload, inputs, threshold):
    """Log domain, looked at every ten iterations."""

    def run(C, epsilon):
        X = -C / epsilon
        n, m = X.shape

        def block(state):
            f, g, _ = state
            for _ in range(CHECK_EVERY):
                f = -jnp.log(n) - logsumexp(X + g, axis=1)
                g = -jnp.log(m) - logsumexp(X + f[:, None], axis=0)
            rows = jnp.exp(f + logsumexp(X + g, axis=1))
            return f, g, jnp.sum(jnp.abs(rows - 1 / n))

        start = (jnp.zeros(n), jnp.zeros(m), jnp.inf)
        f, g, _ = jax.lax.while_loop(lambda s: s[2] > threshold, block, start)
        return jnp.exp(X + f[:, None] + g)

    inputs = {**inputs, "epsilon": np.float32(inputs["epsilon"])}
    return prepared(run, inputs)


@PEER.implements("transport", "P2", THRESHOLDS)
def transport_kernel(workload, inputs, threshold):
    """Kernel domain, not safe."""
    inputs = {**inputs, "epsilon": np.float32(inputs["epsilon"])}
    return prepared(lambda C, e: kernel_transport(jnp.exp(-C / e), threshold), inputs)


#: DeepSeek's guard, added to every entry of the start and to every sum.
EPS = 1e-6


@PEER.implements("hyper_connections", "P1")
def hyper_connections_matrix(workload, inputs):
    """The matrix itself: P /= sum + eps, columns, then 19 times rows, columns."""

    def run(S):
        P = jax.nn.softmax(S, axis=-1) + EPS

        def columns(P):
            return P / (jnp.sum(P, axis=-2, keepdims=True) + EPS)

        def step(_, P):
            return columns(P / (jnp.sum(P, axis=-1, keepdims=True) + EPS))

        return jax.lax.fori_loop(0, ITERATIONS - 1, step, columns(P))

    return prepared(run, inputs)


@PEER.implements("hyper_connections", "P2")
def hyper_connections_vectors(workload, inputs):
    """Vectors u, v: u /= u·(Kv) + eps, v alike."""

    def run(S):
        K = jax.nn.softmax(S, axis=-1) + EPS
        rows = functools.partial(jnp.einsum, "bij,bj->bi", K)
        columns = functools.partial(jnp.einsum, "bij,bi->bj", K)
        u, v = jnp.ones(S.shape[:-1]), jnp.ones(S.shape[:-1])
        v = v / (v * columns(u) + EPS)

        def step(_, uv):
            u, v = uv
            u = u / (u * rows(v) + EPS)
            return u, v / (v * columns(u) + EPS)

        u, v = jax.lax.fori_loop(0, ITERATIONS - 1, step, (u, v))
        return u[..., :, None] * K * v[..., None, :]

    return prepared(run, inputs)


def cloud_cost(x, y):
    """|x - y|²/2 by a matrix product."""
    squares = jnp.sum(x * x, 1)[:, None] + jnp.sum(y * y, 1)
    return jnp.maximum(0.5 * squares - x @ y.T, 0)


def program_potentials(f, g):
    """Potentials outside the marginals, for half the squared distance, as the
    program gives them: inside, for the whole."""
    epsilon = geomloss_epsilons()[-1]
    return (
        2 * (np.asarray(f) - epsilon * np.log(len(f))),
        2 * (np.asarray(g) - epsilon * np.log(len(g))),
    )


@PEER.implements("cloud", "P2")
def cloud_dense(workload, inputs):
    """GeomLoss's loop on a stored cost: one simultaneous, averaged update per ε."""
    schedule = jnp.asarray(geomloss_epsilons(), jnp.float32)

    def run(x, y):
        C = cloud_cost(x, y)
        log_a, log_b = -jnp.log(C.shape[0]), -jnp.log(C.shape[1])

        def updates(epsilon, f, g):
            inner = (f[:, None] + g - C) / epsilon
            rows = f - epsilon * (logsumexp(inner, axis=1) + log_b)
            cols = g - epsilon * (logsumexp(inner, axis=0) + log_a)
            return rows, cols

        def step(potentials, epsilon):
            f, g = potentials
            rows, cols = updates(epsilon, f, g)
            return ((f + rows) / 2, (g + cols) / 2), None

        start = updates(schedule[0], jnp.zeros(len(x)), jnp.zeros(len(y)))
        (f, g), _ = jax.lax.scan(step, start, schedule)
        return updates(schedule[-1], f, g)

    return prepared(run, inputs, lambda raw: program_potentials(*raw))


@PEER.implements("attention", "P1")
def attention_log(workload, inputs):
    """Sinkformer in the log domain, uniform marginals, times N."""
    iterations = workload.sizes["iterations"]

    def run(q, k, v):
        n = q.shape[1]
        S = q @ jnp.swapaxes(k, 1, 2) / np.sqrt(q.shape[2])
        f, g = jnp.zeros(S.shape[:2]), jnp.zeros(S.shape[:2])

        def step(_, potentials):
            f, g = potentials
            f = -jnp.log(n) - logsumexp(S + g[:, None, :], axis=2)
            return f, -jnp.log(n) - logsumexp(S + f[:, :, None], axis=1)

        f, g = jax.lax.fori_loop(0, iterations, step, (f, g))
        return n * jnp.exp(S + f[:, :, None] + g[:, None, :]) @ v

    return prepared(run, inputs)


@PEER.implements("attention", "P2")
def attention_kernel(workload, inputs):
    """Vectors in the kernel domain; v is scaled, not the matrix."""
    iterations = workload.sizes["iterations"]

    def run(q, k, values):
        K = jnp.exp(q @ jnp.swapaxes(k, 1, 2) / np.sqrt(q.shape[2]))

        def step(_, uv):
            _, v = uv
            u = 1 / jnp.einsum("bij,bj->bi", K, v)
            return u, 1 / jnp.einsum("bij,bi->bj", K, u)

        ones = jnp.ones(K.shape[:2])
        u, v = jax.lax.fori_loop(0, iterations, step, (ones, ones))
        return u[..., None] * (K @ (v[..., None] * values))

    return prepared(run, inputs)


def limited(x):
    """OSQP's limits on a maximum."""
    return jnp.minimum(jnp.where(x < 1e-4, 1.0, x), 1e4)


@PEER.implements("ruiz", "P1")
def ruiz_matrix(workload, inputs):
    """The matrix is divided by the square roots of both maxima, ten times."""

    def run(A):
        def step(_, state):
            A, u, v = state
            e = 1 / jnp.sqrt(limited(jnp.max(jnp.abs(A), axis=1)))
            d = 1 / jnp.sqrt(limited(jnp.max(jnp.abs(A), axis=0)))
            return e[:, None] * A * d, u * e, v * d

        ones = jnp.ones(len(A), A.dtype)
        return jax.lax.fori_loop(0, 10, step, (A, ones, ones))[1:]

    return prepared(run, inputs, lambda raw: raw)


@PEER.implements("ruiz", "P2")
def ruiz_vectors(workload, inputs):
    """Only the factors change; the magnitudes are taken once."""

    def run(A):
        A = jnp.abs(A)

        def step(_, uv):
            u, v = uv
            rows = u * jnp.max(A * v, axis=1)
            cols = v * jnp.max(A * u[:, None], axis=0)
            return u / jnp.sqrt(limited(rows)), v / jnp.sqrt(limited(cols))

        ones = jnp.ones(len(A), A.dtype)
        return jax.lax.fori_loop(0, 10, step, (ones, ones))

    return prepared(run, inputs, lambda raw: raw)


@PEER.implements("superglue", "P1")
def superglue_log(workload, inputs):
    """Dustbins appended, 100 iterations in the log domain."""

    def run(S, alpha):
        Z, mu, nu, norm = couplings(S, alpha)

        def step(_, potentials):
            f, g = potentials
            f = mu - logsumexp(Z + g, axis=1)
            return f, nu - logsumexp(Z + f[:, None], axis=0)

        f, g = jax.lax.fori_loop(0, 100, step, (jnp.zeros(len(mu)), jnp.zeros(len(nu))))
        return Z + f[:, None] + g - norm

    return prepared(run, inputs)


def couplings(S, alpha):
    """SuperGlue's matrix with dustbins, the logarithms of its targets and of
    their unit."""
    m, n = S.shape
    Z = jnp.pad(S, ((0, 1), (0, 1)), constant_values=0)
    Z = Z.at[-1, :].set(alpha).at[:, -1].set(alpha)
    norm = -jnp.log(m + n)
    mu = jnp.append(jnp.full(m, norm), jnp.log(n) + norm)
    nu = jnp.append(jnp.full(n, norm), jnp.log(m) + norm)
    return Z, mu, nu, norm


@PEER.implements("superglue", "P2")
def superglue_kernel(workload, inputs):
    """Kernel domain, not safe."""

    def run(S, alpha):
        Z, mu, nu, norm = couplings(S, alpha)
        K, a, b = jnp.exp(Z), jnp.exp(mu), jnp.exp(nu)

        def step(_, v):
            return b / ((a / (K @ v)) @ K)

        v = jax.lax.fori_loop(0, 99, step, jnp.ones(len(b)))
        u = a / (K @ v)
        v = b / (u @ K)
        return Z + jnp.log(u)[:, None] + jnp.log(v) - norm

    return prepared(run, inputs)


@PEER.implements("swav", "P1")
def swav_matrix(workload, inputs):
    """Q = exp(S/0.05)' over its sum; 3 times prototypes to 1/K, samples to 1/B."""

    def run(S):
        Q = jnp.exp(S / 0.05).T
        Q = Q / jnp.sum(Q)
        K, B = Q.shape
        for _ in range(3):
            Q = Q / jnp.sum(Q, axis=1, keepdims=True) / K
            Q = Q / jnp.sum(Q, axis=0, keepdims=True) / B
        return (Q * B).T

    return prepared(run, inputs)


@PEER.implements("swav", "P2")
def swav_vectors(workload, inputs):
    """Vectors in the kernel domain; the sum of all cancels."""

    def run(S):
        Q = jnp.exp(S / 0.05)
        B, K = Q.shape
        u = jnp.ones(B)
        for _ in range(3):
            v = (B / K) / (u @ Q)
            u = 1 / (Q @ v)
        return u[:, None] * Q * v

    return prepared(run, inputs)


EXPERT_THRESHOLDS = (3e-4, 2e-4, 1.4e-4, 1e-4, 7e-5, 5e-5, 2e-5)


@PEER.implements("experts", "P2", EXPERT_THRESHOLDS)
def experts_kernel(workload, inputs, threshold):
    """Kernel domain, not safe: every iteration judged, without another read."""

    def run(S):
        K = jnp.exp(S)
        n, m = K.shape

        def step(state):
            u, v, new, _ = state
            # `new` is the column factor that fits the rows' u.
            u = (1 / n) / (K @ new)
            sums = u @ K
            error = jnp.sum(jnp.abs(new * sums - 1 / m))
            return u, new, (1 / m) / sums, error

        start = (jnp.ones(n), jnp.ones(m), (1 / m) / jnp.sum(K, axis=0), jnp.inf)
        u, v, _, _ = jax.lax.while_loop(lambda s: s[3] > threshold, step, start)
        return u[:, None] * K * v

    return prepared(run, inputs)


@PEER.implements("sinkgd", "P1")
def sinkgd_matrix(workload, inputs):
    """X /= row norms + 1e-6, then column norms, five times."""

    def run(X):
        for _ in range(5):
            X = X / (jnp.linalg.norm(X, axis=1, keepdims=True) + EPS)
            X = X / (jnp.linalg.norm(X, axis=0, keepdims=True) + EPS)
        return X

    return prepared(run, inputs)


@PEER.implements("sinkgd", "P2")
def sinkgd_vectors(workload, inputs):
    """Only the factors change: norms from the squared entries and factors."""

    def run(X):
        Y = X * X
        u, v = jnp.ones(X.shape[0]), jnp.ones(X.shape[1])
        for _ in range(5):
            u = u / (u * jnp.sqrt(Y @ (v * v)) + EPS)
            v = v / (v * jnp.sqrt((u * u) @ Y) + EPS)
        return u[:, None] * X * v

    return prepared(run, inputs)


@PEER.implements("sinq", "P1")
def sinq_matrix(workload, inputs):
    """SINQ's loop: both log scales from the same scaled matrix, best so far."""

    def run(W):
        def stds(X):
            return jnp.std(X, axis=0, ddof=1), jnp.std(X, axis=1, ddof=1)

        def imbalance(cols, rows):
            largest = jnp.maximum(jnp.max(cols), jnp.max(rows))
            return largest / jnp.maximum(
                jnp.minimum(jnp.min(cols), jnp.min(rows)), 1e-12
            )

        def clipped(std):
            return jnp.clip(std, 1e-3, 1e3)

        cols, rows = stds(W)
        target = jnp.minimum(jnp.min(clipped(cols)), jnp.min(clipped(rows))) + 1e-6
        zeros = jnp.zeros(W.shape[1]), jnp.zeros(W.shape[0])

        def step(_, state):
            l1, l2, best, best1, best2, gate = state
            cols, rows = stds(W / jnp.exp(l1) / jnp.exp(l2)[:, None])
            measure = imbalance(cols, rows)
            better = measure <= best
            best = jnp.where(better, measure, best)
            best1, best2 = jnp.where(better, l1, best1), jnp.where(better, l2, best2)
            gate = jnp.where(better, gate, 1.0)

            def moved(logs, std):
                change = jnp.log(jnp.clip(clipped(std) / target, 0.7, 2.0))
                return jnp.clip(logs + (1 - gate) * change, -0.3, 10)

            return moved(l1, cols), moved(l2, rows), best, best1, best2, gate

        start = (*zeros, imbalance(cols, rows), *zeros, jnp.array(0.0))
        _, _, _, l1, l2, _ = jax.lax.fori_loop(0, 16, step, start)
        col, row = jnp.exp(-l1), jnp.exp(-l2)
        return row[:, None] * W * col, row, col

    return prepared(run, inputs, lambda raw: raw)
