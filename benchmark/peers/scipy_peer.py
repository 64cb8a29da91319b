"""SciPy: LAPACK's own."""

from scipy.linalg import matrix_balance

from . import Implementations, Prepared

PEER = Implementations()


@PEER.implements("gebal", "P1")
def gebal(workload, inputs):
    """gebal without the permutation."""

    def call():
        return matrix_balance(inputs["A"], permute=False, separate=True)

    return Prepared(call, lambda raw: [raw[0], raw[1][0]])
