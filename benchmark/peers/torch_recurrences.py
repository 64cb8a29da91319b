"""The recurrences in PyTorch, as functions of tensors.

`torch_eager` calls them as they are, `torch_compiled` through torch.compile.
Each is registered as (recurrence, form) with a function that makes it from the
workload, and a function that makes the program's results of what it returns.
`compiled` stands before what is compiled as a whole: an iteration where its
parts fuse, everything where they are library calls. Unrolled loops of
reductions take torch.compile minutes (pytorch#146663).
"""

import math

import torch
from workloads import ITERATIONS, geomloss_epsilons

EPS = 1e-6
TABLE = {}


def recurrence(name, form, read=None):
    def register(make):
        TABLE[name, form] = (make, read or (lambda raw: (raw,)))
        return make

    return register


@recurrence("projection", "P1")
def projection_log(workload, compiled):
    """Log domain: f = -LSE_row(S + g), g = -LSE_col(S + f)."""

    @compiled
    def step(S, g):
        f = -torch.logsumexp(S + g, 1)
        return f, -torch.logsumexp(S + f[:, None], 0)

    def run(S):
        g = S.new_zeros(S.shape[1])
        for _ in range(ITERATIONS):
            f, g = step(S, g)
        return torch.exp(S + f[:, None] + g)

    return run


@recurrence("projection", "P2")
def projection_kernel(workload, compiled):
    """Kernel domain, not safe: u = 1/Kv, v = 1/K'u."""

    @compiled
    def run(S):
        K = torch.exp(S)
        v = S.new_ones(S.shape[1])
        for _ in range(ITERATIONS):
            u = 1 / (K @ v)
            v = 1 / (u @ K)
        return u[:, None] * K * v

    return run


@recurrence("hyper_connections", "P1")
def hyper_connections_matrix(workload, compiled):
    """DeepSeek's: P = softmax + eps; columns; 19 times rows, columns; eps added
    to every sum."""

    @compiled
    def start(S):
        P = torch.softmax(S, -1) + EPS
        return P / (P.sum(-2, keepdim=True) + EPS)

    @compiled
    def step(P):
        P = P / (P.sum(-1, keepdim=True) + EPS)
        return P / (P.sum(-2, keepdim=True) + EPS)

    def run(S):
        P = start(S)
        for _ in range(ITERATIONS - 1):
            P = step(P)
        return P

    return run


@recurrence("hyper_connections", "P2")
def hyper_connections_vectors(workload, compiled):
    """Vectors u, v: u /= u·(Kv) + eps, v alike."""

    @compiled
    def start(S):
        K = torch.softmax(S, -1) + EPS
        return K, 1 / (K.sum(-2) + EPS)

    @compiled
    def step(K, u, v):
        u = u / (u * (K * v[:, None, :]).sum(-1) + EPS)
        return u, v / (v * (K * u[:, :, None]).sum(-2) + EPS)

    def run(S):
        K, v = start(S)
        u = torch.ones_like(v)
        for _ in range(ITERATIONS - 1):
            u, v = step(K, u, v)
        return u[:, :, None] * K * v[:, None, :]

    return run


def program_potentials(raw):
    """See the cloud program: twice the potentials, the marginals inside."""
    epsilon = geomloss_epsilons()[-1]
    return [2 * (x.reshape(-1) - epsilon * math.log(x.numel())) for x in raw]


@recurrence("cloud", "P2", program_potentials)
def cloud_dense(workload, compiled):
    """GeomLoss's loop on a stored cost |x - y|²/2."""
    schedule = [float(e) for e in geomloss_epsilons()]

    @compiled
    def updates(C, epsilon, f, g):
        inner = (f[:, None] + g - C) / epsilon
        rows = f - epsilon * (torch.logsumexp(inner, 1) - math.log(C.shape[1]))
        cols = g - epsilon * (torch.logsumexp(inner, 0) - math.log(C.shape[0]))
        return rows, cols

    def run(x, y):
        squares = (x * x).sum(1)[:, None] + (y * y).sum(1)
        C = (0.5 * squares - x @ y.T).clamp_min(0)
        epsilons = torch.tensor(schedule, dtype=x.dtype)
        f, g = updates(C, epsilons[0], x.new_zeros(len(x)), x.new_zeros(len(y)))
        for k in range(len(schedule)):
            rows, cols = updates(C, epsilons[k], f, g)
            f, g = (f + rows) / 2, (g + cols) / 2
        return updates(C, epsilons[-1], f, g)

    return run


@recurrence("attention", "P1")
def attention_log(workload, compiled):
    """Sinkformer in the log domain, uniform marginals, times N."""
    iterations = workload.sizes["iterations"]

    @compiled
    def run(q, k, v):
        n = q.shape[1]
        S = q @ k.transpose(1, 2) / math.sqrt(q.shape[2])
        g = S.new_zeros(S.shape[0], n)
        for _ in range(iterations):
            f = -math.log(n) - torch.logsumexp(S + g[:, None, :], 2)
            g = -math.log(n) - torch.logsumexp(S + f[:, :, None], 1)
        return n * torch.exp(S + f[:, :, None] + g[:, None, :]) @ v

    return run


@recurrence("attention", "P2")
def attention_kernel(workload, compiled):
    """Vectors in the kernel domain; the values are scaled, not the matrix."""
    iterations = workload.sizes["iterations"]

    @compiled
    def run(q, k, values):
        K = torch.exp(q @ k.transpose(1, 2) / math.sqrt(q.shape[2]))
        v = K.new_ones(K.shape[0], K.shape[1], 1)
        for _ in range(iterations):
            u = 1 / (K @ v)
            v = 1 / (K.transpose(1, 2) @ u)
        return u * (K @ (v * values))

    return run


@recurrence("attention", "softmax")
def attention_softmax(workload, compiled):
    """Not the same result: what softmax attention costs."""

    def run(q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(
            q[None], k[None], v[None]
        )[0]

    return run


def limited(x):
    """OSQP's limits on a maximum."""
    return torch.where(x < 1e-4, 1.0, x).clamp_max(1e4)


@recurrence("ruiz", "P1", list)
def ruiz_matrix(workload, compiled):
    """The matrix is divided by the square roots of both maxima, ten times."""

    @compiled
    def step(A, u, v):
        magnitudes = A.abs()
        e = limited(magnitudes.amax(1)).rsqrt()
        d = limited(magnitudes.amax(0)).rsqrt()
        return e[:, None] * A * d, u * e, v * d

    def run(A):
        u, v = A.new_ones(len(A)), A.new_ones(A.shape[1])
        for _ in range(10):
            A, u, v = step(A, u, v)
        return u, v

    return run


@recurrence("ruiz", "P2", list)
def ruiz_vectors(workload, compiled):
    """Only the factors change."""

    @compiled
    def step(A, u, v):
        rows = u * (A * v).amax(1)
        cols = v * (A * u[:, None]).amax(0)
        return u * limited(rows).rsqrt(), v * limited(cols).rsqrt()

    def run(A):
        A = A.abs()
        u, v = A.new_ones(len(A)), A.new_ones(A.shape[1])
        for _ in range(10):
            u, v = step(A, u, v)
        return u, v

    return run


@recurrence("sinq", "P1", list)
def sinq_loop(workload, compiled):
    """SINQ's loop: both log scales from the same scaled matrix, best so far."""

    def measure(cols, rows):
        smallest = torch.minimum(cols.min(), rows.min())
        return torch.maximum(cols.max(), rows.max()) / smallest.clamp_min(1e-12)

    @compiled
    def step(W, target, l1, l2, best, best1, best2, gate):
        current = W / l1.exp() / l2.exp()[:, None]
        cols, rows = current.std(0), current.std(1)
        now = measure(cols, rows)
        better = now <= best
        best = torch.where(better, now, best)
        best1 = torch.where(better, l1, best1)
        best2 = torch.where(better, l2, best2)
        gate = torch.where(better, gate, 1.0)
        step1 = (cols.clamp(1e-3, 1e3) / target).clamp(0.7, 2.0).log()
        step2 = (rows.clamp(1e-3, 1e3) / target).clamp(0.7, 2.0).log()
        l1 = (l1 + (1 - gate) * step1).clamp(-0.3, 10)
        l2 = (l2 + (1 - gate) * step2).clamp(-0.3, 10)
        return l1, l2, best, best1, best2, gate

    def run(W):
        cols, rows = W.std(0), W.std(1)
        smallest = torch.minimum(cols.min(), rows.min())
        target = smallest.clamp(1e-3, 1e3) + 1e-6
        l1, l2 = W.new_zeros(W.shape[1]), W.new_zeros(W.shape[0])
        state = (l1, l2, measure(cols, rows), l1, l2, W.new_zeros(()))
        for _ in range(16):
            state = step(W, target, *state)
        col, row = (-state[3]).exp(), (-state[4]).exp()
        return row[:, None] * W * col, row, col

    return run


def couplings(S, alpha):
    """SuperGlue's matrix with dustbins and the logarithms of its targets."""
    m, n = S.shape
    Z = torch.cat(
        [
            torch.cat([S, alpha.expand(m, 1)], 1),
            alpha.expand(1, n + 1),
        ],
        0,
    )
    norm = -math.log(m + n)
    mu, nu = S.new_full((m + 1,), norm), S.new_full((n + 1,), norm)
    mu[-1] += math.log(n)
    nu[-1] += math.log(m)
    return Z, mu, nu, norm


@recurrence("superglue", "P1")
def superglue_log(workload, compiled):
    """100 iterations in the log domain."""

    @compiled
    def step(Z, mu, nu, g):
        f = mu - torch.logsumexp(Z + g, 1)
        return f, nu - torch.logsumexp(Z + f[:, None], 0)

    def run(S, alpha):
        Z, mu, nu, norm = couplings(S, alpha)
        g = torch.zeros_like(nu)
        for _ in range(100):
            f, g = step(Z, mu, nu, g)
        return Z + f[:, None] + g - norm

    return run


@recurrence("superglue", "P2")
def superglue_kernel(workload, compiled):
    """Kernel domain, not safe."""

    @compiled
    def step(K, a, b, v):
        u = a / (K @ v)
        return u, b / (u @ K)

    def run(S, alpha):
        Z, mu, nu, norm = couplings(S, alpha)
        K, a, b = Z.exp(), mu.exp(), nu.exp()
        v = torch.ones_like(b)
        for _ in range(100):
            u, v = step(K, a, b, v)
        return Z + u.log()[:, None] + v.log() - norm

    return run


@recurrence("swav", "P1")
def swav_matrix(workload, compiled):
    """Q = exp(S/0.05)' over its sum; 3 times prototypes to 1/K, samples to 1/B."""

    @compiled
    def run(S):
        Q = torch.exp(S / 0.05).T
        K, B = Q.shape
        Q = Q / Q.sum()
        for _ in range(3):
            Q = Q / Q.sum(1, keepdim=True) / K
            Q = Q / Q.sum(0, keepdim=True) / B
        return (Q * B).T

    return run


@recurrence("swav", "P2")
def swav_vectors(workload, compiled):
    """Vectors in the kernel domain; the sum of all cancels."""

    @compiled
    def run(S):
        Q = torch.exp(S / 0.05)
        B, K = Q.shape
        u = S.new_ones(B)
        for _ in range(3):
            v = (B / K) / (u @ Q)
            u = 1 / (Q @ v)
        return u[:, None] * Q * v

    return run


@recurrence("sinkgd", "P1")
def sinkgd_matrix(workload, compiled):
    """X /= row norms + 1e-6, then column norms, five times."""

    @compiled
    def run(X):
        for _ in range(5):
            X = X / (X.norm(dim=1, keepdim=True) + EPS)
            X = X / (X.norm(dim=0, keepdim=True) + EPS)
        return X

    return run


@recurrence("sinkgd", "P2")
def sinkgd_vectors(workload, compiled):
    """Only the factors change: norms from the squared entries and factors."""

    @compiled
    def run(X):
        Y = X * X
        u, v = X.new_ones(X.shape[0]), X.new_ones(X.shape[1])
        for _ in range(5):
            u = u / (u * (Y @ (v * v)).sqrt() + EPS)
            v = v / (v * ((u * u) @ Y).sqrt() + EPS)
        return u[:, None] * X * v

    return run


#: Those that look at a tolerance: a step, and the loop around it, in Python as
#: their users have it. (recurrence, form): (thresholds, make)
LOOPS = {}
TRANSPORT_THRESHOLDS = (3e-5, 2e-5, 1.4e-5, 1e-5, 7e-6, 5e-6, 2e-6, 1e-6)
#: Megatron's threshold is on the mean change of its column factor.
MEGATRON_THRESHOLDS = tuple(10.0**-k for k in range(1, 14))
EXPERT_THRESHOLDS = (3e-4, 2e-4, 1.4e-4, 1e-4, 7e-5, 5e-5, 2e-5)


def loop(name, form, thresholds):
    def register(make):
        LOOPS[name, form] = (thresholds, make)
        return make

    return register


@loop("transport", "P2", TRANSPORT_THRESHOLDS)
def transport_kernel(workload, compiled, threshold):
    """Kernel domain, not safe, looked at every ten iterations."""
    n = workload.sizes["n"]

    @compiled
    def block(K, v):
        for _ in range(10):
            u = (1 / n) / (K @ v)
            v = (1 / n) / (u @ K)
        return u, v, (u * (K @ v) - 1 / n).abs().sum()

    def run(C, epsilon):
        K = torch.exp(-C / epsilon)
        v, error = K.new_ones(n), math.inf
        while error > threshold:
            u, v, error = block(K, v)
            error = error.item()
        return u[:, None] * K * v

    return run


@loop("experts", "P1", MEGATRON_THRESHOLDS)
def megatron(workload, compiled, threshold):
    """Megatron's: 1e-8 added to every sum, until the column factor's mean change
    is small."""
    n, m = workload.sizes["n"], workload.sizes["m"]

    @compiled
    def step(K, d1):
        d0 = (1 / n) / ((d1 * K).sum(1) + 1e-8)
        new = (1 / m) / ((d0[:, None] * K).sum(0) + 1e-8)
        return d0, new, (d1 - new).abs().mean()

    def run(S):
        K = torch.exp(S)
        d1, error = K.new_ones(m), math.inf
        while error > threshold:
            d0, d1, error = step(K, d1)
            error = error.item()
        return d1 * K * d0[:, None]

    return run


@loop("experts", "P2", EXPERT_THRESHOLDS)
def experts_kernel(workload, compiled, threshold):
    """Matrix-vector products, every iteration judged without another read."""
    n, m = workload.sizes["n"], workload.sizes["m"]

    @compiled
    def step(K, v):
        u = (1 / n) / (K @ v)
        sums = u @ K
        return u, (1 / m) / sums, (v * sums - 1 / m).abs().sum()

    def run(S):
        K = torch.exp(S)
        new, error = (1 / m) / K.sum(0), math.inf
        while error > threshold:
            v = new
            u, new, error = step(K, v)
            error = error.item()
        return u[:, None] * K * v

    return run


class TorchPeer:
    """What both PyTorch peers share; `compiled` wraps a function of tensors."""

    def __init__(self, compiled, skip=()):
        self.compiled = compiled
        self.skip = skip
        torch.set_grad_enabled(False)

    def forms(self, workload):
        own = workload.recurrence
        found = {form: 0 for name, form in TABLE if name == own}
        found |= {
            form: len(thresholds)
            for (name, form), (thresholds, _) in LOOPS.items()
            if name == own
        }
        return {k: v for k, v in found.items() if (own, k) not in self.skip}

    def prepare(self, workload, inputs, form, attempt):
        from . import Prepared

        arguments = [torch.from_numpy(x) for x in inputs.values()]
        notes, key = {}, (workload.recurrence, form)
        if key in LOOPS:
            thresholds, make = LOOPS[key]
            notes = {"threshold": thresholds[attempt]}
            function = make(workload, self.compiled, thresholds[attempt])
            read = lambda raw: (raw,)
        else:
            make, read = TABLE[key]
            function = make(workload, self.compiled)
        return Prepared(
            lambda: function(*arguments),
            lambda raw: [x.numpy() for x in read(raw)],
            notes,
        )
