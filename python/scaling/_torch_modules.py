"""Published layers with their Sinkhorn part compiled; see scaling.torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ._attributes import count


def _functions() -> Any:
    # The functions' module imports this one.
    from . import torch as functions

    return functions


def _positive(name: str, value: object) -> None:
    if count(name, value) == 0:
        raise ValueError(f"{name}: 0 was given, 1 at least is needed")


class SinkhornProject(nn.Module):
    """`scaling.torch.project` with its attributes; no parameters.

    layer = SinkhornProject(preset="mhc")
    p = layer(logits)            # [..., n, m] -> [..., n, m]
    """

    def __init__(self, *, temperature: float | None = None, **attributes: Any) -> None:
        super().__init__()
        functions = _functions()
        functions.check_attributes(functions.project, attributes)
        self.temperature = temperature
        self.attributes = attributes

    def forward(self, matrix: torch.Tensor) -> torch.Tensor:
        return _functions().project(
            matrix, temperature=self.temperature, **self.attributes
        )

    def extra_repr(self) -> str:
        given = {"temperature": self.temperature} | self.attributes
        return ", ".join(f"{k}={v!r}" for k, v in given.items() if v is not None)


class SinkhornAttention(nn.Module):
    """Multi-head attention whose weights are doubly stochastic (Sander et al.,
    "Sinkformers", 2022), in the place of `nn.MultiheadAttention(batch_first=True)`,
    whose parameters it has.

    half_steps: row and column normalizations, in turn; 1 is softmax attention.
    Other attributes are those of `scaling.torch.attention`.

    Shapes: query `[batch, n, embed_dim]`, key and value `[batch, m, embed_dim]`;
    key_padding_mask `[batch, m]`, True leaves a key out; attn_mask, added to the
    logits, floats that broadcast to `[batch, heads, n, m]`. The output is
    `[batch, n, embed_dim]` and None, as there are no averaged weights.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        half_steps: int = 3,
        bias: bool = True,
        **attributes: Any,
    ) -> None:
        super().__init__()
        _positive("embed_dim", embed_dim)
        _positive("num_heads", num_heads)
        if embed_dim % num_heads:
            raise ValueError(
                f"embed_dim: {embed_dim} was given, a multiple of num_heads "
                f"({num_heads}) is needed"
            )
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.attributes = {"half_steps": half_steps} | attributes
        functions = _functions()
        functions.check_attributes(functions.attention, self.attributes)
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embed_dim, embed_dim))
        nn.init.xavier_uniform_(self.in_proj_weight)
        if bias:
            self.in_proj_bias = nn.Parameter(torch.zeros(3 * embed_dim))
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = nn.Linear(embed_dim, embed_dim, bias=bias)

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor | None = None,
        value: torch.Tensor | None = None,
        key_padding_mask: torch.Tensor | None = None,
        attn_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, None]:
        key = query if key is None else key
        value = key if value is None else value
        weights = self.in_proj_weight.chunk(3)
        biases = (
            (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        )
        heads = [
            nn.functional.linear(x, weight, bias)
            .unflatten(-1, (self.num_heads, -1))
            .transpose(-2, -3)
            for x, weight, bias in zip((query, key, value), weights, biases)
        ]
        keep = None if key_padding_mask is None else ~key_padding_mask.unsqueeze(-2)
        output = _functions().attention(
            *heads, attn_mask, col_mask=keep, **self.attributes
        )
        return self.out_proj(output.transpose(-2, -3).flatten(-2)), None


class LogOptimalTransport(nn.Module):
    """The matching layer of SuperGlue (Sarlin et al., 2020): scores with a learnt
    dustbin row and column, to the logarithm of the assignment times m + n.

    scores `[batch, m, n]` give `[batch, m+1, n+1]`. The parameter is called as in
    the published model.
    """

    def __init__(self, iterations: int = 100, bin_score: float = 1.0) -> None:
        super().__init__()
        self.iterations = count("iterations", iterations)
        self.bin_score = nn.Parameter(torch.tensor(float(bin_score)))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        return _functions().project(
            scores,
            slack=self.bin_score,
            preset="superglue",
            half_steps=2 * self.iterations,
        )

    def extra_repr(self) -> str:
        return f"iterations={self.iterations}"


class HyperConnection(nn.Module):
    """Manifold-constrained hyper-connection (DeepSeek, 2025) around a layer.

    A token has `streams` residual streams x `[..., streams, dim]`. From all of
    them, normalized, one linear map makes three sets of logits, each times its
    learnt `scale` plus `base`: weights that merge the streams into the layer's
    input (sigmoid + eps), weights its output goes back with (2·sigmoid), and a
    matrix that mixes the streams, made doubly stochastic:

        y = layer(Σ_j pre_j x_j);   out_k = post_k·y + Σ_j P_jk x_j

    preset: the convention of the projection; "mhc" is DeepSeek's. half_steps: the
    projection's, default the preset's.
    """

    def __init__(
        self,
        dim: int,
        layer: Callable[[torch.Tensor], torch.Tensor],
        streams: int = 4,
        *,
        preset: str = "mhc",
        half_steps: int | None = None,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        _positive("dim", dim)
        _positive("streams", streams)
        if not callable(layer):
            raise TypeError(f"layer: a module is needed, {layer!r} was given")
        self.dim, self.streams, self.eps = dim, streams, eps
        self.layer = layer
        self.attributes = {"preset": preset, "half_steps": half_steps}
        functions = _functions()
        functions.check_attributes(functions.project, self.attributes)
        logits = streams * (streams + 2)
        self.fn = nn.Parameter(torch.empty(logits, streams * dim))
        nn.init.normal_(self.fn, std=1 / math.sqrt(streams * dim))
        self.base = nn.Parameter(torch.zeros(logits))
        # Streams stay what they are, about, until something is learnt.
        with torch.no_grad():
            self.base[2 * streams :] = 4 * torch.eye(streams).flatten()
        self.scale = nn.Parameter(torch.full((3,), 0.01))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = self.streams
        if x.dim() < 2 or x.shape[-2] != n or x.shape[-1] != self.dim:
            raise ValueError(
                f"x: the shape is {tuple(x.shape)}, [..., {n}, {self.dim}] is needed: "
                "streams of dim"
            )
        flat = x.flatten(-2).float()
        norm = torch.rsqrt(flat.square().mean(-1, keepdim=True) + self.eps)
        logits = nn.functional.linear(flat, self.fn.float()) * norm
        scale = torch.cat(
            [
                one.expand(count)
                for one, count in zip(self.scale.unbind(), (n, n, n * n))
            ]
        )
        pre, post, mix = (logits * scale + self.base).split([n, n, n * n], dim=-1)
        pre = torch.sigmoid(pre) + self.eps
        post = 2 * torch.sigmoid(post)
        mix = _functions().project(mix.unflatten(-1, (n, n)), **self.attributes)
        y = self.layer((pre.unsqueeze(-1) * x).sum(-2).to(x.dtype))
        kept = torch.einsum("...jk,...jc->...kc", mix, x.to(mix.dtype))
        return (post.unsqueeze(-1) * y.unsqueeze(-2) + kept).to(x.dtype)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, streams={self.streams}, {self.attributes}"
