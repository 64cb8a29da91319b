"""IREE on our portable output: --scaling-to-linalg, compiled for this CPU."""

import os
import pathlib
import subprocess
import time

import iree.compiler
import iree.runtime
import numpy as np

from . import Implementations, Prepared

PASSES = "--scaling-to-linalg"


def portable_text(workload):
    """The program in linalg. IREE is of another LLVM, whose short forms of
    attributes differ; the generic form is the same."""
    tool = pathlib.Path(os.environ["SCALING_BIN"]) / "scaling-opt"
    done = subprocess.run(
        [tool, "-", PASSES, "--mlir-print-op-generic"],
        input=workload.text(),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[:2000])
    return done.stdout


class Iree(Implementations):
    """Takes every workload."""

    def forms(self, workload):
        return {"P1": 0}

    def prepare(self, workload, inputs, form, attempt):
        start = time.perf_counter()
        module = iree.compiler.compile_str(
            portable_text(workload),
            target_backends=["llvm-cpu"],
            extra_args=[
                "--iree-llvmcpu-target-cpu=host",
                "--iree-opt-level=O3",
                "--iree-input-demote-f64-to-f32=false",
            ],
        )
        seconds = time.perf_counter() - start
        config = iree.runtime.Config("local-task")
        context = iree.runtime.SystemContext(config=config)
        context.add_vm_module(
            iree.runtime.VmModule.copy_buffer(context.instance, module)
        )
        function = context.modules.module[workload.function]
        arguments = [
            iree.runtime.asdevicearray(config.device, x) for x in inputs.values()
        ]

        def call():
            return function(*arguments)

        def read(raw):
            results = raw if isinstance(raw, (tuple, list)) else (raw,)
            return [np.asarray(x) for x in results]

        return Prepared(call, read, {"compile_seconds": seconds})


PEER = Iree()
