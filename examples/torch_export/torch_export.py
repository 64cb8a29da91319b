#!/usr/bin/env python3
"""SuperGlue's matching head, from a PyTorch model to machine code.

    examples/torch_export/torch_export.py --keypoints 256

Descriptors of the key points of two pictures are projected, compared, and
matched by optimal transport with a dustbin (Sarlin et al., 2020): here with
random weights, once in plain PyTorch and once with scaling.torch's layer, whose
model becomes one MLIR program. Prints the largest difference and the times, and
leaves the program in --out.
"""

import argparse
import math
import pathlib
import sys
import time


def positive(text):
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive integer")
    return value


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keypoints", type=positive, default=256)
    parser.add_argument("--dim", type=positive, default=64)
    parser.add_argument("--iterations", type=positive, default=100)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("."))
    return parser.parse_args()


def best_of(run, count=20):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def main():
    args = parse_arguments()
    try:
        import scaling
        import scaling.torch
        import torch
        import torch_mlir  # noqa: F401
    except ImportError as error:
        sys.exit(f"error: {error}")
    from torch import nn

    class PlainTransport(nn.Module):
        """What is published: a loop of logarithms of sums."""

        def __init__(self, iterations):
            super().__init__()
            self.iterations = iterations
            self.bin_score = nn.Parameter(torch.tensor(1.0))

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

    class MatchingHead(nn.Module):
        def __init__(self, transport, dim):
            super().__init__()
            self.final_proj = nn.Conv1d(dim, dim, 1)
            self.transport = transport
            self.scale = dim**-0.5

        def forward(self, a, b):
            a, b = self.final_proj(a), self.final_proj(b)
            scores = torch.einsum("bdn,bdm->bnm", a, b) * self.scale
            # The logarithm of who goes with whom.
            return self.transport(scores)

    torch.manual_seed(0)
    plain = MatchingHead(PlainTransport(args.iterations), args.dim).eval()
    # 1. The layer that is slow, from scaling.torch; its parameters are the same.
    ours = MatchingHead(
        scaling.torch.LogOptimalTransport(args.iterations), args.dim
    ).eval()
    ours.load_state_dict(plain.state_dict())
    pictures = [torch.randn(1, args.dim, args.keypoints) for _ in range(2)]

    # 2. The model as text: linalg, and one op of the dialect.
    text = scaling.torch.export_mlir(ours, pictures)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "matching_head.mlir"
    path.write_text(text)
    lines = text.count("\n")
    print(f"{path}: {lines} lines, {text.count('= scaling.')} op of the dialect")

    # 3. The text as a function on NumPy arrays.
    program = scaling.compile(text)
    arrays = [picture.numpy() for picture in pictures]
    with torch.no_grad():
        expected = plain(*pictures).numpy()
        difference = abs(program.main(*arrays) - expected).max()
        print(f"largest difference: {difference:.1e}")
        eager = best_of(lambda: plain(*pictures))
    compiled = best_of(lambda: program.main(*arrays))
    print(f"PyTorch: {eager:.2f} ms, compiled: {compiled:.2f} ms")
    print(f"speed-up: {eager / compiled:.1f}")


if __name__ == "__main__":
    main()
