#!/usr/bin/env python3
"""A small transformer learns handwritten digits, with gradients from `scaling`.

Its attention is doubly stochastic (Sinkformer's) and its residual streams are
mixed by doubly stochastic matrices (hyper-connections). The same model is
trained twice from the same start on the same batches: with the two projections
by scaling.torch, and with the published recurrences in plain PyTorch.

    pip install '.[torch]' -r examples/requirements.txt
    python examples/training/digits.py
"""

import argparse
import json
import math
import pathlib
import sys
import time

import numpy as np

try:
    import scaling.torch
    import torch
except ImportError as error:
    raise SystemExit(f"error: {error}; pip install '.[torch]' in the project's folder")

TOKENS, PIXELS, DIM, HEADS, STREAMS, BLOCKS = 16, 4, 32, 4, 4, 2


class Compiled:
    """The Sinkhorn parts in one call each."""

    def attention(self, q, k, v):
        return scaling.torch.attention(q, k, v, half_steps=3)

    def mix(self, logits):
        return scaling.torch.project(logits, preset="mhc")


class Plain:
    """The same recurrences, as the papers write them."""

    def attention(self, q, k, v):
        n, m = q.shape[-2], k.shape[-2]
        s = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        p = s - torch.logsumexp(s, -1, keepdim=True) - math.log(n)
        p = p - torch.logsumexp(p, -2, keepdim=True) - math.log(m)
        p = p - torch.logsumexp(p, -1, keepdim=True) - math.log(n)
        return torch.exp(p) * m @ v

    def mix(self, logits, eps=1e-6):
        p = torch.softmax(logits, -1) + eps
        p = p / (p.sum(-2, keepdim=True) + eps)
        for _ in range(19):
            p = p / (p.sum(-1, keepdim=True) + eps)
            p = p / (p.sum(-2, keepdim=True) + eps)
        return p


class Attention(torch.nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how
        self.norm = torch.nn.LayerNorm(DIM)
        self.into = torch.nn.Linear(DIM, 3 * DIM)
        self.out = torch.nn.Linear(DIM, DIM)

    def forward(self, x):
        q, k, v = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in self.into(self.norm(x)).chunk(3, -1)
        )
        return self.out(self.how.attention(q, k, v).transpose(1, 2).flatten(-2))


def perceptron():
    return torch.nn.Sequential(
        torch.nn.LayerNorm(DIM),
        torch.nn.Linear(DIM, 2 * DIM),
        torch.nn.GELU(),
        torch.nn.Linear(2 * DIM, DIM),
    )


class HyperConnection(torch.nn.Module):
    """A layer with STREAMS residual streams around it; each token decides how
    they go into the layer, how it comes back, and how they mix."""

    def __init__(self, layer, how):
        super().__init__()
        self.layer, self.how = layer, how
        self.norm = torch.nn.RMSNorm(STREAMS * DIM, elementwise_affine=False)
        self.weights = torch.nn.Linear(STREAMS * DIM, STREAMS * (STREAMS + 2))
        torch.nn.init.normal_(self.weights.weight, std=0.01)
        # Streams stay what they are, about, until something is learnt.
        torch.nn.init.zeros_(self.weights.bias)
        with torch.no_grad():
            self.weights.bias[2 * STREAMS :] = 4 * torch.eye(STREAMS).flatten()

    def forward(self, x):
        pre, post, mix = self.weights(self.norm(x.flatten(-2))).split(
            [STREAMS, STREAMS, STREAMS * STREAMS], -1
        )
        mix = self.how.mix(mix.unflatten(-1, (STREAMS, STREAMS)))
        y = self.layer((torch.sigmoid(pre).unsqueeze(-1) * x).sum(-2))
        back = 2 * torch.sigmoid(post).unsqueeze(-1) * y.unsqueeze(-2)
        return back + mix.transpose(-1, -2) @ x


class Transformer(torch.nn.Module):
    def __init__(self, how):
        super().__init__()
        self.embed = torch.nn.Linear(PIXELS, DIM)
        self.place = torch.nn.Parameter(0.5 * torch.randn(TOKENS, DIM))
        layers = []
        for _ in range(BLOCKS):
            layers += [HyperConnection(Attention(how), how)]
            layers += [HyperConnection(perceptron(), how)]
        self.layers = torch.nn.Sequential(*layers)
        self.head = torch.nn.Sequential(
            torch.nn.LayerNorm(DIM), torch.nn.Linear(DIM, 10)
        )

    def forward(self, x):
        x = (self.embed(x) + self.place).unsqueeze(-2).expand(-1, -1, STREAMS, -1)
        return self.head(self.layers(x).sum(-2).mean(-2))


def load(count):
    """scikit-learn's digits as 16 tokens of 2 x 2 pixels: a fifth is for testing."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.images))[:count]
    patches = digits.images[order].reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4)
    x = torch.tensor(patches.reshape(-1, TOKENS, PIXELS) / 16, dtype=torch.float32)
    y = torch.tensor(digits.target[order])
    cut = len(x) * 4 // 5
    return x[:cut], y[:cut], x[cut:], y[cut:]


def train(how, data, arguments):
    """Losses of all steps, the accuracy after every epoch, and the seconds."""
    x, y, x_test, y_test = data
    torch.manual_seed(arguments.seed)
    model = Transformer(how)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    losses, accuracies, seconds = [], [], []
    model(x[: arguments.batch]).sum().backward()
    for _ in range(arguments.epochs):
        for chosen in torch.randperm(len(x)).split(arguments.batch):
            start = time.perf_counter()
            loss = torch.nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seconds.append(time.perf_counter() - start)
            losses.append(loss.item())
        with torch.no_grad():
            right = model(x_test).argmax(-1) == y_test
        accuracies.append(right.float().mean().item())
    return losses, accuracies, seconds


def plot(path, runs):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for (name, (losses, accuracies, seconds)), style in zip(runs.items(), ("-", "--")):
        axes[0].plot(losses, style, label=name)
        ends = np.cumsum(seconds).reshape(len(accuracies), -1)[:, -1]
        axes[1].plot(ends, 100 * np.array(accuracies), style, marker=".", label=name)
    axes[0].set(xlabel="step", ylabel="loss", yscale="log")
    axes[1].set(xlabel="seconds", ylabel="accuracy on unseen digits, %")
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12, help="(12)")
    parser.add_argument("--batch", type=int, default=64, help="(64)")
    parser.add_argument("--images", type=int, default=1797, help="how many (all)")
    parser.add_argument("--seed", type=int, default=0, help="(0)")
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("out"), help="(out)"
    )
    arguments = parser.parse_args()
    for name in ("epochs", "batch", "images"):
        if getattr(arguments, name) < (10 if name == "images" else 1):
            parser.error(f"--{name}: {getattr(arguments, name)} is too few")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"error: cannot write to '{arguments.out}': {error.strerror}")

    data = load(arguments.images)
    runs = {}
    for name, how in (("scaling.torch", Compiled()), ("plain PyTorch", Plain())):
        print(f"train: {name}, {len(data[0])} digits", flush=True)
        runs[name] = train(how, data, arguments)
    plot(arguments.out / "training.png", runs)

    ours, plain = runs.values()
    # Of the steps' times the median: a machine does other things as well.
    step, plain_step = (float(np.median(run[2])) for run in (ours, plain))
    summary = {
        "digits": [len(data[0]), len(data[2])],
        "steps": len(ours[0]),
        "accuracy": ours[1][-1],
        "accuracy_plain": plain[1][-1],
        "losses": ours[0],
        "losses_plain": plain[0],
        "seconds_per_step": step,
        "seconds_per_step_plain": plain_step,
        "speed_up": plain_step / step,
    }
    (arguments.out / "training.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(f"""
training: {summary["steps"]} steps of {arguments.batch} digits, {BLOCKS} blocks
                         scaling.torch    plain PyTorch
  loss, last step        {ours[0][-1]:13.4f}    {plain[0][-1]:13.4f}
  accuracy, unseen       {100 * ours[1][-1]:12.2f}%    {100 * plain[1][-1]:12.2f}%
  ms per step            {1e3 * step:13.2f}    {1e3 * plain_step:13.2f}
  speed-up               {summary["speed_up"]:.1f} of the whole step
  written                {arguments.out}/training.png training.json
""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
