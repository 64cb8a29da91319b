"""Models that people run, with random weights, and small.

The layers with a Sinkhorn part are parameters of the models: those of
scaling.torch, or the published ones, restated here in plain PyTorch.
"""

import math

import scaling.torch as st
import torch
from torch import nn
from torch.nn import functional as F


class PlainAttention(st.SinkhornAttention):
    """Sinkformer's (Sander et al., 2022): alternating log-softmaxes."""

    def forward(self, x):
        q, k, v = (
            t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for t in F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        )
        s = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        for i in range(self.attributes["half_steps"]):
            s = torch.log_softmax(s, -1 if i % 2 == 0 else -2)
        return self.out_proj((s.exp() @ v).transpose(1, 2).flatten(2)), None


class PlainTransport(st.LogOptimalTransport):
    """SuperGlue's (Sarlin et al., 2020)."""

    def forward(self, scores):
        b, m, n = scores.shape
        alpha = self.bin_score
        z = torch.cat([scores, alpha.expand(b, m, 1)], 2)
        z = torch.cat([z, alpha.expand(b, 1, n + 1)], 1)
        norm = -math.log(m + n)
        mu = torch.tensor([norm] * m + [math.log(n) + norm])
        nu = torch.tensor([norm] * n + [math.log(m) + norm])
        u, v = torch.zeros(b, m + 1), torch.zeros(b, n + 1)
        for _ in range(self.iterations):
            u = mu - torch.logsumexp(z + v.unsqueeze(1), 2)
            v = nu - torch.logsumexp(z + u.unsqueeze(2), 1)
        return z + u.unsqueeze(2) + v.unsqueeze(1) - norm


def mhc(logits, eps=1e-6):
    """DeepSeek's projection: softmax, then columns and rows in turn."""
    p = torch.softmax(logits, -1) + eps
    p = p / (p.sum(-2, keepdim=True) + eps)
    for _ in range(19):
        p = p / (p.sum(-1, keepdim=True) + eps)
        p = p / (p.sum(-2, keepdim=True) + eps)
    return p


class PlainHyperConnection(st.HyperConnection):
    def forward(self, x):
        n = self.streams
        flat = x.flatten(-2)
        z = F.linear(flat, self.fn) * torch.rsqrt(
            flat.square().mean(-1, keepdim=True) + self.eps
        )
        pre, post, mix = (
            part * scale + base
            for part, scale, base in zip(
                z.split([n, n, n * n], -1), self.scale, self.base.split([n, n, n * n])
            )
        )
        p = mhc(mix.unflatten(-1, (n, n)))
        y = self.layer(((torch.sigmoid(pre) + self.eps).unsqueeze(-1) * x).sum(-2))
        post = 2 * torch.sigmoid(post)
        return post.unsqueeze(-1) * y.unsqueeze(-2) + p.transpose(-1, -2) @ x


def swav_assignment(scores):
    """SwAV's (Caron et al., 2020): prototypes, then samples, three times."""
    q = torch.exp(scores / 0.05)
    q = q / q.sum()
    n, k = q.shape
    for _ in range(3):
        q = q / q.sum(0, keepdim=True) / k
        q = q / q.sum(1, keepdim=True) / n
    return q * n


def our_swav_assignment(scores):
    return st.project(scores, preset="swav")


class Mlp(nn.Sequential):
    def __init__(self, dim):
        super().__init__(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))


class EncoderBlock(nn.Module):
    def __init__(self, dim, heads, attention):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention, self.mlp = attention(dim, heads), Mlp(dim)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))[0]
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Pictures [b, 3, size, size] to logits of classes."""

    def __init__(
        self, attention, size=16, patch=4, dim=32, depth=2, heads=4, classes=10
    ):
        super().__init__()
        self.patches = nn.Conv2d(3, dim, patch, stride=patch)
        self.token = nn.Parameter(torch.randn(1, 1, dim))
        self.position = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, dim))
        self.blocks = nn.ModuleList(
            EncoderBlock(dim, heads, attention) for _ in range(depth)
        )
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


class MatchingHead(nn.Module):
    """SuperGlue's: descriptors [b, d, n] and [b, d, m] of two pictures to the
    matches of the first one's key points (-1: none), and their scores."""

    def __init__(self, transport, dim=16, iterations=20, threshold=0.2):
        super().__init__()
        self.final_proj = nn.Conv1d(dim, dim, 1)
        self.transport = transport(iterations)
        self.scale, self.threshold = dim**-0.5, threshold

    def forward(self, a, b):
        scores = torch.einsum("bdn,bdm->bnm", self.final_proj(a), self.final_proj(b))
        scores = self.transport(scores * self.scale)
        best, there = scores[:, :-1, :-1].max(2)
        back = scores[:, :-1, :-1].max(1).indices
        mutual = torch.arange(a.shape[2]).unsqueeze(0) == back.gather(1, there)
        matching = torch.where(mutual, best.exp(), 0.0)
        valid = mutual & (matching > self.threshold)
        return torch.where(valid, there, -1), matching


class CausalAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.qkv, self.out = (
            heads,
            nn.Linear(dim, 3 * dim),
            nn.Linear(dim, dim),
        )

    def forward(self, x):
        q, k, v = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for t in self.qkv(x).chunk(3, -1)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


class HyperBlock(nn.Module):
    """A transformer block on residual streams [b, t, 4, dim]."""

    def __init__(self, connection, dim=16, heads=2):
        super().__init__()
        attend = nn.Sequential(nn.LayerNorm(dim), CausalAttention(dim, heads))
        think = nn.Sequential(nn.LayerNorm(dim), Mlp(dim))
        self.attention, self.mlp = connection(dim, attend), connection(dim, think)
        # Away from where nothing is learnt yet.
        for part in (self.attention, self.mlp):
            nn.init.normal_(part.scale)
            nn.init.normal_(part.base)

    def forward(self, x):
        return self.mlp(self.attention(x))


class SwavHead(nn.Module):
    """Features [b, d] to assignments to prototypes."""

    def __init__(self, assign, dim=24, hidden=32, out=16, prototypes=12):
        super().__init__()
        self.projection = nn.Sequential(
            nn.Linear(dim, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out)
        )  # fmt: skip
        self.prototypes = nn.Linear(out, prototypes, bias=False)
        self.assign = assign

    def forward(self, x):
        x = F.normalize(self.projection(x), dim=1)
        return self.assign(self.prototypes(x))


def build(model, ours, plain):
    """The same model twice: with our layers, and in plain PyTorch."""
    torch.manual_seed(0)
    a, b = model(ours).eval(), model(plain).eval()
    b.load_state_dict(a.state_dict())
    return a, b


def vision_transformer():
    return build(VisionTransformer, st.SinkhornAttention, PlainAttention)


def matching_head():
    return build(MatchingHead, st.LogOptimalTransport, PlainTransport)


def hyper_block():
    return build(HyperBlock, st.HyperConnection, PlainHyperConnection)


def swav_head():
    return build(SwavHead, our_swav_assignment, swav_assignment)
