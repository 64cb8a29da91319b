"""The peers: one module each, imported only in the process that runs it.

A module has functions marked with `implements`; each takes the workload and its
inputs and returns what `Prepared` describes. A module that cannot be imported is
a missing peer.
"""

import dataclasses
from collections.abc import Callable

#: Module of each peer, in the order of the table.
PEERS = {
    "scaling": "ours",
    "hand-written": "handwritten",
    "JAX": "jax_peer",
    "OTT-JAX": "ott_peer",
    "POT": "pot_peer",
    "GeomLoss": "geomloss_peer",
    "PyTorch": "torch_eager",
    "torch.compile": "torch_compiled",
    "NumPy": "numpy_peer",
    "SciPy": "scipy_peer",
    "IREE": "iree_peer",
}
#: The one that all others are compared with.
OURS = "scaling"


@dataclasses.dataclass
class Prepared:
    """A call that returns when its work is done, and how to read what it gave."""

    call: Callable[[], object]
    #: The results as NumPy arrays, in the order of the program's.
    read: Callable[[object], list]
    notes: dict = dataclasses.field(default_factory=dict)


class Implementations:
    """The functions of one peer by recurrence and form.

    Forms are P1, as the peer's users write it, and P2, the fastest re-statement,
    with a word behind where there are several.
    """

    def __init__(self):
        self.table = {}

    def implements(self, recurrence, form, thresholds=()):
        """`thresholds`: values for the keyword `threshold`, loosest first; the
        first that reaches the workload's marginal error is timed."""

        def register(function):
            self.table.setdefault(recurrence, {})[form] = (function, tuple(thresholds))
            return function

        return register

    def forms(self, workload):
        return {
            form: len(thresholds)
            for form, (_, thresholds) in self.table.get(workload.recurrence, {}).items()
        }

    def prepare(self, workload, inputs, form, attempt):
        function, thresholds = self.table[workload.recurrence][form]
        options = {"threshold": thresholds[attempt]} if thresholds else {}
        prepared = function(workload, inputs, **options)
        prepared.notes.update(options)
        return prepared
