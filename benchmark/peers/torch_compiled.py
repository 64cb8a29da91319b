"""PyTorch through torch.compile, shapes static."""

import torch

from .torch_recurrences import TorchPeer

PEER = TorchPeer(
    lambda function: torch.compile(function, dynamic=False),
    # The same library call either way.
    skip={("attention", "softmax")},
)
