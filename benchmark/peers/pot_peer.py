"""POT on NumPy arrays, in f64 as its users have them."""

import warnings

import numpy as np
import ot

from . import Implementations, Prepared

PEER = Implementations()
#: POT judges the 2-norm of the columns' error.
THRESHOLDS = (2e-6, 1.4e-6, 1e-6, 7e-7, 5e-7, 3e-7, 1e-7)


def transport(inputs, method, threshold):
    C = np.asarray(inputs["C"], np.float64)
    a, b = (np.full(size, 1 / size) for size in C.shape)
    epsilon = float(inputs["epsilon"])
    warnings.simplefilter("ignore")

    def call():
        return ot.sinkhorn(
            a, b, C, epsilon, method=method, stopThr=threshold, numItermax=20000
        )

    return Prepared(call, lambda raw: [raw])


@PEER.implements("transport", "P1", THRESHOLDS)
def transport_kernel(workload, inputs, threshold):
    """The default method, kernel domain: not safe."""
    return transport(inputs, "sinkhorn", threshold)


@PEER.implements("transport", "P1-log", THRESHOLDS)
def transport_log(workload, inputs, threshold):
    """The log domain."""
    return transport(inputs, "sinkhorn_log", threshold)
