"""NumPy, as a recurrence is first written down."""

import numpy as np

from . import Implementations, Prepared

PEER = Implementations()


@PEER.implements("ruiz", "P1")
def ruiz(workload, inputs):
    """OSQP's pass: the matrix is divided by the square roots of both maxima."""

    def limited(x):
        return np.minimum(np.where(x < 1e-4, 1, x), 1e4)

    def call():
        A = inputs["A"]
        u, v = np.ones(len(A), A.dtype), np.ones(A.shape[1], A.dtype)
        for _ in range(10):
            magnitudes = np.abs(A)
            e = 1 / np.sqrt(limited(magnitudes.max(axis=1)))
            d = 1 / np.sqrt(limited(magnitudes.max(axis=0)))
            A = e[:, None] * A * d
            u, v = u * e, v * d
        return u, v

    return Prepared(call, list)
