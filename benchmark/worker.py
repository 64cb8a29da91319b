"""The process of one peer: reads requests, a line of JSON each, and answers.

    worker.py MODULE --folder DIR

Everything libraries print goes to stderr; answers go to what was stdout.
"""

import argparse
import importlib
import json
import os
import pathlib
import statistics
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
#: Below this many seconds a call is warmed up and repeated in every round.
SHORT = 5e-3
WARM_CALLS = 20


class Worker:
    def __init__(self, module, folder):
        self.implementations = importlib.import_module(f"peers.{module}").PEER
        self.folder = folder
        self.inputs = {}
        self.prepared = {}

    def take(self, workload):
        """The workload of that name and its inputs, made once."""
        import workloads

        if workload not in self.inputs:
            (chosen,) = workloads.select([workload])
            self.inputs = {workload: (chosen, chosen.inputs())}
        return self.inputs[workload]

    def forms(self, workload):
        return self.implementations.forms(self.take(workload)[0])

    def prepare(self, workload, form, attempt):
        """Makes a workload ready, runs it once and saves the results."""
        import numpy as np

        self.prepared.pop(form, None)
        chosen, inputs = self.take(workload)
        start = time.perf_counter()
        prepared = self.implementations.prepare(chosen, inputs, form, attempt)
        results = prepared.read(prepared.call())
        self.prepared[form] = prepared
        first = time.perf_counter() - start
        file = self.folder / f"results-{os.getpid()}.npz"
        np.savez(file, *results)
        return {
            "results": str(file),
            "first_seconds": first,
            "notes": prepared.notes,
        }

    def measure(self, form, seconds):
        """The median time of a call; several calls while they fit in `seconds`."""
        call = self.prepared[form].call
        times = [self.once(call)]
        if times[0] < SHORT:
            for _ in range(WARM_CALLS):
                call()
            times = [self.once(call) for _ in range(WARM_CALLS)]
        while sum(times) < seconds:
            times.append(self.once(call))
        return {"ms": 1e3 * statistics.median(times), "best_ms": 1e3 * min(times)}

    @staticmethod
    def once(call):
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    def forget(self):
        """Lets go of the inputs and the results of a workload."""
        self.prepared = {}
        self.inputs = {}
        return {}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module")
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    args = parser.parse_args()

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.path.insert(0, str(HERE))
    try:
        worker = Worker(args.module, args.folder)
    except Exception as error:
        print(json.dumps({"missing": f"{type(error).__name__}: {error}"}), file=answers)
        return
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
