"""Programs on a device, as their users call them: libraries of `scaling-compile
--emit=shared`, memory and copies through libscaling_cuda_runtime, results
against the reference.

    device_cases.py --bin build/bin [--emulate] [REGIME ...]

It needs a GPU: lit's feature `cuda`. With `--emulate` a driver that is not one
has the emulator in the GPU's place.
"""

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [
    str(path)
    for path in (
        HERE, HERE.parent / "execution", HERE.parent, ROOT / "test" / "reference"
    )
]  # fmt: skip

import numpy as np  # noqa: E402
import scaling_reference as sr  # noqa: E402
import test_kernel_regimes as regimes  # noqa: E402
from emulated_kernels import compile_kernel, execute  # noqa: E402
from findtool import find_tool  # noqa: E402

DOMAINS = ("kernel", "log")
LAUNCH = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint,
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p),
)  # fmt: skip
#: cuDeviceGetAttribute: the major number of the compute capability.
MAJOR = 75


def memref(rank):
    class MemRef(ctypes.Structure):
        _fields_ = [
            ("allocated", ctypes.c_void_p), ("data", ctypes.c_void_p),
            ("offset", ctypes.c_int64), ("sizes", ctypes.c_int64 * rank),
            ("strides", ctypes.c_int64 * rank),
        ]  # fmt: skip

    return MemRef


def find_chip():
    """What to compile for on this machine; nothing without a GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    major, device = ctypes.c_int(), ctypes.c_int()
    if (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetAttribute(ctypes.byref(major), MAJOR, device)
    ):
        return None
    return {8: "sm_80", 9: "sm_90"}.get(major.value, "sm_100")


class Device:
    """The runtime over the machine's driver, or over the one that is none."""

    def __init__(self, folder, chip, emulate):
        self.folder, self.chip = folder, chip
        if emulate:
            path = folder / "libfake_driver.so"
            source = ROOT / "test" / "Tools" / "Inputs" / "fake_driver.c"
            subprocess.run(
                ["clang", "-shared", "-fPIC", "-O1", "-o", path, source], check=True
            )
            os.environ["SCALING_CUDA_DRIVER"] = str(path)
            self.driver = ctypes.CDLL(str(path))
        lib = Path(find_tool("scaling-compile")).parent.parent / "lib"
        self.runtime = ctypes.CDLL(str(lib / "libscaling_cuda_runtime.so"))
        self.runtime.scaling_cuda_message.restype = ctypes.c_char_p
        for name in ("mgpuMemAlloc", "mgpuStreamCreate"):
            getattr(self.runtime, name).restype = ctypes.c_void_p
        self.stream = ctypes.c_void_p(self.runtime.mgpuStreamCreate())
        self.emulate = emulate

    def make(self, name, source, plain=False):
        path = self.folder / f"lib{name}{'_plain' * plain}.so"
        subprocess.run(
            [find_tool("scaling-compile"), "-", "--target=nvptx",
             f"--chip={self.chip}", "--emit=shared", "-o", path,
             *["--plain-launches"] * plain],
            input=source, text=True, check=True, timeout=300,
        )  # fmt: skip
        return ctypes.CDLL(str(path))

    def emulated_launches(self, source, shape, plain):
        """The kernel's first two arguments are the matrix and the plan; with
        `plain`, the one after the workspace is the state."""
        code = compile_kernel(source, "llvm", self.chip, plain)
        count = int(np.prod(shape))
        fields = 3 + 2 * len(shape)
        data = [1, 1 + fields]

        def launch(kernel, grid, block, shared, cooperative, stream, params):
            if plain:
                state = params[2 * fields + 5 + 1]
                label = ctypes.cast(
                    state, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))
                )
                if label[0][0] != 0:
                    return
                # The emulator does all launches at once.
                label[0][0] = -1
            given, taken = (
                ctypes.cast(params[i], ctypes.POINTER(ctypes.c_void_p))[0] for i in data
            )
            floats = ctypes.cast(given, ctypes.POINTER(ctypes.c_float))
            matrix = np.ctypeslib.as_array(floats, (count,)).reshape(shape)
            (plan,), _ = execute(
                code, kernel.decode(), [matrix], [(shape, "f32")], grid=grid
            )
            ctypes.memmove(taken, plan.ctypes.data, plan.nbytes)

        self.callback = LAUNCH(launch)
        self.driver.fake_on_launch(self.callback)

    def call(self, library, matrix):
        """Copies there, the call, and back."""
        runtime, stream = self.runtime, self.stream
        size = ctypes.c_size_t(matrix.nbytes)
        result = np.full_like(matrix, np.nan)
        memory = [
            ctypes.c_void_p(runtime.mgpuMemAlloc(size, stream, False)) for _ in "io"
        ]
        host = [ctypes.c_void_p(array.ctypes.data) for array in (matrix, result)]
        runtime.mgpuMemcpy(memory[0], host[0], size, stream)
        strides = tuple(s // matrix.itemsize for s in matrix.strides)
        descriptors = [
            memref(matrix.ndim)(m.value, m.value, 0, matrix.shape, strides)
            for m in memory
        ]
        error = library._mlir_ciface_solve(*map(ctypes.byref, descriptors), stream)
        runtime.mgpuMemcpy(host[1], memory[1], size, stream)
        runtime.mgpuStreamSynchronize(stream)
        for pointer in memory:
            runtime.mgpuMemFree(pointer, stream)
        assert error == 0, (error, runtime.scaling_cuda_message())
        return result


def run(device, regime, domain, plain=False):
    source = regimes.source(regime, domain)
    library = device.make(f"{regime}_{domain}", source, plain)
    generator = np.random.default_rng(1)
    for shape in regimes.SIZES[regime]:
        matrix = generator.normal(size=shape).astype(np.float32)
        if device.emulate:
            device.emulated_launches(source, shape, plain)
        plan = device.call(library, matrix)
        expected = sr.project(
            matrix.astype(np.float64), kind="logits", domain=domain,
            stop=sr.fixed(regimes.HALF_STEPS),
        ).plan  # fmt: skip
        np.testing.assert_allclose(plan, expected, rtol=2e-5, atol=1e-7)
        # A second launch on the same memory gives the same bits.
        np.testing.assert_array_equal(device.call(library, matrix), plan)
        how = ", plain launches" if plain else ""
        print(f"{regime} {domain} {'x'.join(map(str, shape))}{how}: right", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("regimes", nargs="*", default=list(regimes.REGIMES))
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--emulate", action="store_true")
    args = parser.parse_args()
    os.environ["SCALING_BIN"] = str(args.bin.resolve())
    chip = "sm_90" if args.emulate else find_chip()
    if not chip:
        sys.exit("device_cases.py: there is no GPU that CUDA's driver knows of")
    with tempfile.TemporaryDirectory(prefix="scaling-device-") as folder:
        device = Device(Path(folder), chip, args.emulate)
        for regime in args.regimes:
            for domain in DOMAINS:
                run(device, regime, domain)
                if regime.startswith("grid") and domain == "log":
                    run(device, regime, domain, plain=True)


if __name__ == "__main__":
    main()
