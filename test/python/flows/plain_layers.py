"""Published layers, re-stated in plain PyTorch: what test_raise_torch.py raises."""

import math

import torch


def mhc(z, half_steps=39):
    """Convention A: softmax first, guarded sums, columns first."""
    p = torch.softmax(z, -1) + 1e-6
    for i in range(half_steps):
        p = p / (p.sum((-2, -1)[i % 2], keepdim=True) + 1e-6)
    return p


def mhc_sigmoid(z):
    """Convention B."""
    p = torch.sigmoid(z) + 1e-6
    for _ in range(20):
        p = p / (p.sum(-1, keepdim=True) + 1e-6)
        p = p / (p.sum(-2, keepdim=True) + 1e-6)
    return p


def mhc_clamp(z):
    """Convention C, Megatron-LM's."""
    p = torch.exp(z - z.amax(-1, keepdim=True))
    for _ in range(20):
        p = p / p.sum(-1, keepdim=True).clamp(min=1e-6)
        p = p / p.sum(-2, keepdim=True).clamp(min=1e-6)
    return p


def mhc_log(z):
    """Convention D, TransformerEngine's: potentials."""
    g = torch.zeros_like(z[..., 0, :])
    for _ in range(20):
        f = -torch.logsumexp(z + g.unsqueeze(-2), -1)
        g = -torch.logsumexp(z + f.unsqueeze(-1), -2)
    return torch.exp(z + f.unsqueeze(-1) + g.unsqueeze(-2))


def mhc_columns(z):
    """Convention F, lucidrains': L1 norms."""
    p = torch.exp(z - z.amax(-2, keepdim=True))
    for _ in range(20):
        p = torch.nn.functional.normalize(p, p=1, dim=-2, eps=1e-12)
        p = torch.nn.functional.normalize(p, p=1, dim=-1, eps=1e-12)
    return p


def mhc_recip(z):
    """Convention H: scaling vectors, by matrix products."""
    a = torch.exp(z)
    c = torch.ones(*a.shape[:-2], a.shape[-1], 1)
    for _ in range(20):
        r = 1 / (a @ c + 1e-6)
        c = 1 / (a.transpose(-2, -1) @ r + 1e-6)
    return r * a * c.transpose(-2, -1)


def gumbel_sinkhorn(z):
    for _ in range(20):
        z = z - torch.logsumexp(z, -1, keepdim=True)
        z = z - torch.logsumexp(z, -2, keepdim=True)
    return torch.exp(z)


def log_softmaxes(z):
    """The same with log_softmax."""
    for _ in range(20):
        z = torch.log_softmax(torch.log_softmax(z, -1), -2)
    return torch.exp(z)


def swav(scores):
    q = torch.exp(scores / 0.05).t()
    prototypes, samples = q.shape
    q = q / q.sum()
    for _ in range(3):
        q = q / q.sum(1, keepdim=True) / prototypes
        q = q / q.sum(0, keepdim=True) / samples
    return (q * samples).t()


def optvq(cost):
    """OptVQ behind its standardization: guarded sums to 1/n and 1/m."""
    q = torch.exp(-cost * 10).t()
    q = q / (q.sum() + 1e-8)
    codes, samples = q.shape
    for _ in range(5):
        q = q / (q.sum(1, keepdim=True) + 1e-8) / codes
        q = q / (q.sum(0, keepdim=True) + 1e-8) / samples
    return (q * samples).t()


def transport(cost, a, b):
    """As POT's sinkhorn, ten times: Kᵀu and Kv."""
    k = torch.exp(-cost / 0.1)
    u = torch.ones_like(a) / len(a)
    for _ in range(10):
        v = b / (k.t() @ u)
        u = a / (k @ v)
    return u[:, None] * k * v[None, :]


def sinkformer(query, key, value, half_steps=3):
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    n, m = scores.shape[-2:]
    u, v = torch.zeros_like(scores[..., 0]), torch.zeros_like(scores[..., 0, :])
    mu, nu = torch.full_like(u, -math.log(n)), torch.full_like(v, -math.log(m))

    def scaled():
        return scores + u.unsqueeze(-1) + v.unsqueeze(-2)

    for i in range(half_steps):
        if i % 2 == 0:
            u = u + mu - torch.logsumexp(scaled(), -1)
        else:
            v = v + nu - torch.logsumexp(scaled(), -2)
    return (torch.exp(scaled()) * m) @ value


def sinkgd(x):
    for _ in range(5):
        x = x / (x.norm(dim=1, keepdim=True) + 1e-6)
        x = x / (x.norm(dim=0, keepdim=True) + 1e-6)
    return x


def potentials(cost, a, b):
    """What geomloss and OTT return: no plan."""
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    for _ in range(10):
        f = 0.1 * (torch.log(a) - torch.logsumexp((g[None, :] - cost) / 0.1, 1))
        g = 0.1 * (torch.log(b) - torch.logsumexp((f[:, None] - cost) / 0.1, 0))
    return f, g


def potentials_and_plan(cost, a, b):
    f, g = potentials(cost, a, b)
    return f, g, torch.exp((f[:, None] + g[None, :] - cost) / 0.1)


def dual_value(cost, a, b):
    f, g = potentials(cost, a, b)
    return (f * a).sum() + (g * b).sum()


def last_potential(z):
    """Uniform targets; the last half-step is that of the rows."""
    f, g = torch.zeros_like(z[..., 0]), torch.zeros_like(z[..., 0, :])
    n, m = z.shape[-2:]
    for _ in range(10):
        g = -math.log(m) - torch.logsumexp(z + f.unsqueeze(-1), -2)
        f = -math.log(n) - torch.logsumexp(z + g.unsqueeze(-2), -1)
    return f


def deviations(x):
    """Rows and columns over their standard deviations, in bounds."""
    for _ in range(5):
        x = x / x.std(1, keepdim=True).clamp(1e-3, 1e3)
        x = x / x.std(0, keepdim=True).clamp(1e-3, 1e3)
    return x


def deviations_guarded(x):
    for _ in range(4):
        x = x / (x.std(0, keepdim=True) + 1e-6)
        x = x / (x.std(1, keepdim=True) + 1e-6)
    return x


def deviations_log(x):
    """The factors are kept as logarithms, as SINQ and KVarN keep them."""
    col, row = torch.zeros(1, x.shape[1]), torch.zeros(x.shape[0], 1)
    for _ in range(4):
        scaled = x / col.exp() / row.exp()
        col = col + scaled.std(0, keepdim=True).clamp(1e-3, 1e3).log()
        scaled = x / col.exp() / row.exp()
        row = row + scaled.std(1, keepdim=True).clamp(1e-3, 1e3).log()
    return x / col.exp() / row.exp()


def deviations_bounded(x):
    """KVarN's steps, all of them: the logarithms are clamped too."""
    col, row = torch.zeros(1, x.shape[1]), torch.zeros(x.shape[0], 1)
    scaled = x
    for _ in range(4):
        std = scaled.std(0, keepdim=True).clamp(1e-3, 1e3)
        col = (col + std.log()).clamp(-0.3, 10)
        scaled = x / col.exp() / row.exp()
        std = scaled.std(1, keepdim=True).clamp(1e-3, 1e3)
        row = (row + std.log()).clamp(-0.3, 10)
        scaled = x / col.exp() / row.exp()
    return scaled


def imbalance(x):
    rows, cols = x.std(-1), x.std(-2)
    least = torch.minimum(rows.amin(-1), cols.amin(-1)).clamp_min(1e-12)
    return torch.maximum(rows.amax(-1), cols.amax(-1)) / least


def sinq(matrix, rounds=16):
    """SINQ: both axes from one matrix, towards the smallest deviation, a gate
    that closes at the first worsening, and the best of the rounds."""

    def deviations(x):
        return x.std(1).clamp(1e-3, 1e3), x.std(0).clamp(1e-3, 1e3)

    rows, cols = deviations(matrix)
    target = torch.minimum(rows.min(), cols.min()) + 1e-6
    log_cols, log_rows = torch.zeros(matrix.shape[1]), torch.zeros(matrix.shape[0], 1)
    best = torch.minimum(torch.tensor(float("inf")), imbalance(matrix))
    best_cols, best_rows = log_cols.exp(), log_rows.exp()
    gate = torch.tensor(0.0)
    for _ in range(rounds):
        current = (matrix / log_cols.exp()) / log_rows.exp()
        measure = imbalance(current)
        better = (measure <= best).to(torch.float32)
        best = torch.minimum(best, measure)
        best_cols = torch.where(better.bool(), log_cols.exp(), best_cols)
        best_rows = torch.where(better.bool(), log_rows.exp(), best_rows)
        gate = torch.clip(gate + (measure > best).to(torch.float32), max=1.0)
        rows, cols = deviations(current)
        cols = (cols / target).clamp(0.7, 2.0).log()
        rows = (rows[:, None] / target).clamp(0.7, 2.0).log()
        log_cols = (log_cols + cols * (1 - gate)).clip(-0.3, 10.0)
        log_rows = (log_rows + rows * (1 - gate)).clip(-0.3, 10.0)
    return matrix / best_cols / best_rows, best_cols, best_rows


def sinq_rows(matrix, rounds):
    return sinq(matrix, rounds)[2].squeeze(1)


def sinq_ungated(matrix):
    """The same, whose rounds all are done; written with choices."""
    rows, cols = matrix.std(1).clamp(1e-3, 1e3), matrix.std(0).clamp(1e-3, 1e3)
    target = torch.minimum(rows.min(), cols.min()) + 1e-6
    divide_cols, divide_rows = torch.ones_like(cols), torch.ones_like(rows)
    chosen, best = (divide_cols, divide_rows), imbalance(matrix)
    for _ in range(5):
        current = matrix / divide_cols / divide_rows[:, None]
        rows, cols = current.std(1).clamp(1e-3, 1e3), current.std(0).clamp(1e-3, 1e3)
        divide_cols = (divide_cols * (cols / target).clamp(0.7, 2.0)).clamp(0.7, 8.0)
        divide_rows = (divide_rows * (rows / target).clamp(0.7, 2.0)).clamp(0.7, 8.0)
        measure = imbalance(matrix / divide_cols / divide_rows[:, None])
        worse = measure > best
        chosen = (
            torch.where(worse, chosen[0], divide_cols),
            torch.where(worse, chosen[1], divide_rows),
        )
        best = torch.where(worse, best, measure)
    return matrix / (chosen[0] * chosen[1][:, None])


def kvarn(tile, rounds=16):
    """KVarN: columns, then rows of what they leave; the best of the rounds."""

    def measure(x):
        rows, cols = x.std(1), x.std(0)
        return cols.max() / cols.min().clamp(min=1e-8) + rows.max() / rows.min().clamp(
            min=1e-8
        )

    col, row = torch.zeros(1, tile.shape[1]), torch.zeros(tile.shape[0], 1)
    best, scaled = measure(tile), tile
    best_col, best_row = col.exp(), row.exp()
    for _ in range(rounds):
        std = scaled.std(0, keepdim=True).clamp(1e-3, 1e3)
        col = (col + std.log()).clamp(-0.3, 10)
        scaled = tile / col.exp() / row.exp()
        std = scaled.std(1, keepdim=True).clamp(1e-3, 1e3)
        row = (row + std.log()).clamp(-0.3, 10)
        scaled = tile / col.exp() / row.exp()
        now = measure(scaled)
        better = now <= best
        best = torch.where(better, now, best)
        best_col = torch.where(better, col.exp(), best_col)
        best_row = torch.where(better, row.exp(), best_row)
    return tile / best_col / best_row, best_col, best_row


def factors(cost, a, b):
    """As POT's sinkhorn_knopp: the scaling vectors, which start as 1/n and 1/m,
    by matrix-vector products; the rows' targets are in the kernel."""
    k = torch.exp(cost / -0.1)
    kp = (1 / a).reshape(-1, 1) * k
    u, v = torch.ones_like(a) / len(a), torch.ones_like(b) / len(b)
    for _ in range(10):
        v = b / (k.T @ u)
        u = 1.0 / (kp @ v)
    return u, v


def factors_uniform(kernel):
    """A batch; the targets are 1/n and 1/m."""
    n, m = kernel.shape[-2:]
    u, v = torch.ones_like(kernel[..., 0]), torch.ones_like(kernel[..., 0, :])
    for _ in range(5):
        u = (1 / n) / torch.einsum("...ij,...j->...i", kernel, v)
        v = (1 / m) / torch.einsum("...ij,...i->...j", kernel, u)
    return u, v


def factors_guarded(kernel):
    """A column of factors by matrix products, as mhc_recip has them."""
    c = torch.ones(*kernel.shape[:-2], kernel.shape[-1], 1)
    for _ in range(4):
        r = 1 / (kernel @ c + 1e-6)
        c = 1 / (kernel.transpose(-2, -1) @ r + 1e-6)
    return r, c


def factors_and_plan(cost, a, b):
    u, v = factors(cost, a, b)
    return u, v, u.reshape(-1, 1) * torch.exp(cost / -0.1) * v.reshape(1, -1)


def middle(z):
    """The matrix is in dimensions 1 and 2."""
    p = torch.exp(z)
    for _ in range(3):
        p = p / p.sum(1, keepdim=True)
        p = p / p.sum(2, keepdim=True)
    return p


# What looks like it and is none.


def other_guard(z):
    p = torch.softmax(z, -1)
    p = p / (p.sum(-2, keepdim=True) + 1e-6)
    p = p / (p.sum(-1, keepdim=True) + 1e-5)
    return p / (p.sum(-2, keepdim=True) + 1e-6)


def guarded_twice(z):
    p = torch.exp(z)
    for dim in (-1, -2, -2, -1):
        p = p / (p.sum(dim, keepdim=True) + 1e-6)
    return p


def squares(z):
    for _ in range(3):
        z = z / (z * z).sum(-1, keepdim=True)
        z = z / (z * z).sum(-2, keepdim=True)
    return z


def residual_inside(z):
    """Each half-step adds what the matrix was."""
    p = torch.exp(z)
    for dim in (-1, -2, -1):
        p = p + p / p.sum(dim, keepdim=True)
    return p


def all_of_them(z):
    """Every matrix on the way is returned."""
    p = torch.exp(z)
    matrices = []
    for dim in (-1, -2, -1):
        p = p / p.sum(dim, keepdim=True)
        matrices.append(p)
    return torch.stack(matrices)


def dual_softmax(z):
    """As LightGlue: both softmaxes of the same scores."""
    return torch.log_softmax(z, -1) + torch.log_softmax(z, -2)


def three_axes(z):
    p = torch.exp(z)
    for dim in (0, 1, 2, 0, 1, 2):
        p = p / p.sum(dim, keepdim=True)
    return p


def deviations_biased(x):
    """Divided by n, not by n − 1."""
    for _ in range(3):
        x = x / x.std(1, keepdim=True, correction=0).clamp(1e-3, 1e3)
        x = x / x.std(0, keepdim=True, correction=0).clamp(1e-3, 1e3)
    return x


def deviations_of_absolutes(x):
    for _ in range(3):
        x = x / x.abs().std(1, keepdim=True).clamp(1e-3, 1e3)
        x = x / x.abs().std(0, keepdim=True).clamp(1e-3, 1e3)
    return x


def deviations_other_bounds(x):
    """The rows' factors have other bounds than the columns'."""
    col, row = torch.zeros_like(x[..., :1, :]), torch.zeros_like(x[..., :1])
    for _ in range(3):
        std = (x / col.exp() / row.exp()).std(-2, keepdim=True).clamp(1e-3, 1e3)
        col = (col + std.log()).clamp(-0.3, 10)
        std = (x / col.exp() / row.exp()).std(-1, keepdim=True).clamp(1e-3, 1e3)
        row = (row + std.log()).clamp(-0.2, 10)
    return x / col.exp() / row.exp()


def older_potential(z):
    """The rows' potential comes out of the half-step before the last."""
    f = -torch.logsumexp(z, -1)
    g = -torch.logsumexp(z + f.unsqueeze(-1), -2)
    last = -torch.logsumexp(z + g.unsqueeze(-2), -1)
    return f, g, last


def averaged_potentials(z):
    """Half of the old potential is kept."""
    f, g = torch.zeros_like(z[..., 0]), torch.zeros_like(z[..., 0, :])
    for _ in range(3):
        f = 0.5 * f - 0.5 * torch.logsumexp(z + g.unsqueeze(-2), -1)
        g = 0.5 * g - 0.5 * torch.logsumexp(z + f.unsqueeze(-1), -2)
    return f, g


def older_factor(kernel):
    """The rows' factors come out of the half-step before the last."""
    u = 1 / kernel.sum(-1)
    v = 1 / (kernel * u.unsqueeze(-1)).sum(-2)
    last = 1 / (kernel * v.unsqueeze(-2)).sum(-1)
    return u, v, last


def averaged_factors(kernel):
    """Geometric means of old and new factors."""
    u, v = torch.ones_like(kernel[..., 0]), torch.ones_like(kernel[..., 0, :])
    for _ in range(3):
        u = (u / (kernel * v.unsqueeze(-2)).sum(-1)).sqrt()
        v = (v / (kernel * u.unsqueeze(-1)).sum(-2)).sqrt()
    return u, v


def factors_of_one(kernel):
    """Both sums are of the kernel times the same factor."""
    u, v = torch.ones_like(kernel[..., 0]), torch.ones_like(kernel[..., 0, :])
    for _ in range(3):
        u, v = (
            1 / (kernel * v.unsqueeze(-2)).sum(-1),
            1 / (kernel * u.unsqueeze(-1)).sum(-2),
        )
    return u, v


def factors_other_guard(kernel):
    """A sum that is at least 1e-3 is not one that 1e-3 is added to."""
    u, v = torch.ones_like(kernel[..., 0]), torch.ones_like(kernel[..., 0, :])
    for _ in range(3):
        u = 1 / (kernel * v.unsqueeze(-2)).sum(-1).clamp(min=1e-3)
        v = 1 / (kernel * u.unsqueeze(-1)).sum(-2).clamp(min=1e-3)
    return u, v


def almost_sinq(
    x,
    floor=1e-12,
    plus=1e-6,
    correction=1,
    first=False,
    last=False,
    sequential=False,
    one_limit=True,
):
    """SINQ's balancing but for one thing."""

    def deviations(x):
        return x.std(1, correction=correction), x.std(0, correction=correction)

    def measure(x):
        rows, cols = deviations(x)
        least = torch.minimum(rows.min(), cols.min()).clamp(min=floor)
        return torch.maximum(rows.max(), cols.max()) / least

    def clip(x, most=1e3):
        return x.clamp(1e-3, most)

    rows, cols = deviations(x)
    target = torch.minimum(clip(rows).min(), clip(cols).min()) + plus
    row, col = torch.zeros(x.shape[0], 1), torch.zeros(1, x.shape[1])
    chosen, best = (row.exp(), col.exp()), measure(x)
    for _ in range(3):
        current = x / row.exp() / col.exp()
        rows, cols = deviations(current)
        col = col + (clip(cols)[None] / target).clamp(0.7, 2.0).log()
        if sequential:
            rows, _ = deviations(x / row.exp() / col.exp() + 0.1)
        most = 1e3 if one_limit else 1e2
        row = row + (clip(rows, most)[:, None] / target).clamp(0.7, 2.0).log()
        now = measure(current if first else x / row.exp() / col.exp())
        better = now < best if last else now <= best
        best = torch.minimum(now, best)
        chosen = (
            torch.where(better, row.exp(), chosen[0]),
            torch.where(better, col.exp(), chosen[1]),
        )
    return x / chosen[0] / chosen[1]
