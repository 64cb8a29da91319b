"""GeomLoss, with KeOps and on a stored cost."""

import numpy as np
import pykeops
import torch
from geomloss import SamplesLoss
from workloads import BLUR, DIAMETER, SCALING

from . import Implementations, Prepared
from .torch_recurrences import program_potentials

PEER = Implementations()


def cloud(inputs, backend):
    pykeops.set_verbose(False)
    loss = SamplesLoss(
        "sinkhorn", p=2, blur=BLUR, scaling=SCALING, diameter=DIAMETER,
        debias=False, potentials=True, backend=backend,
    )  # fmt: skip
    x, y = (torch.from_numpy(inputs[name]) for name in ("x", "y"))
    return Prepared(
        lambda: loss(x, y),
        lambda raw: [np.asarray(z) for z in program_potentials(raw)],
    )


@PEER.implements("cloud", "P1-KeOps")
def cloud_online(workload, inputs):
    """Costs made anew by KeOps in every step."""
    return cloud(inputs, "online")


@PEER.implements("cloud", "P1-dense")
def cloud_tensorized(workload, inputs):
    """A stored cost."""
    return cloud(inputs, "tensorized")
