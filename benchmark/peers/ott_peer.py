"""OTT-JAX's Sinkhorn."""

import jax
import jax.numpy as jnp
import numpy as np
from ott.geometry.geometry import Geometry
from ott.problems.linear.linear_problem import LinearProblem
from ott.solvers.linear.sinkhorn import Sinkhorn

from . import Implementations, Prepared

PEER = Implementations()
THRESHOLDS = (3e-5, 2e-5, 1.4e-5, 1e-5, 7e-6, 5e-6, 2e-6, 1e-6)


def transport(inputs, lse_mode, threshold):
    epsilon = float(inputs["epsilon"])
    solver = Sinkhorn(lse_mode=lse_mode, threshold=threshold, max_iterations=20000)

    @jax.jit
    def run(C):
        geometry = Geometry(cost_matrix=C, epsilon=epsilon)
        return solver(LinearProblem(geometry)).matrix

    C = jnp.asarray(inputs["C"])
    return Prepared(
        lambda: jax.block_until_ready(run(C)), lambda raw: [np.asarray(raw)]
    )


@PEER.implements("transport", "P1", THRESHOLDS)
def transport_log(workload, inputs, threshold):
    """The default mode."""
    return transport(inputs, True, threshold)


@PEER.implements("transport", "P2", THRESHOLDS)
def transport_kernel(workload, inputs, threshold):
    """Kernel mode, not safe."""
    return transport(inputs, False, threshold)
