"""Host functions that launch kernels, over a driver that is not one: what they
call, in which order, with which arguments; errors; and, with the emulator in
the place of the GPU, results."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scaling_reference as sr
from emulated_kernels import attributes, compile_kernel, execute
from findtool import find_tool

ROOT = Path(__file__).resolve().parents[3]
SHAPES = {"batch": "?x4x4", "streaming": "?x?"}
#: Launches that a kernel is said to need where blocks do not wait, and how many
#: the host asks for before it looks again.
NEEDED, GROUP = 11, 8
NO_DRIVER, OUT_OF_MEMORY, NO_BINARY, LAUNCH_FAILED = -1, 2, 209, 719
LAUNCH = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint,
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p),
)  # fmt: skip


def program(name):
    matrix = f"tensor<{SHAPES[name]}xf32>"
    return (
        f"func.func @{name}(%z: {matrix}) -> {matrix} {{\n"
        f"  %r:4 = scaling.project logits(%z : {matrix})"
        f" stop(#scaling.stop<fixed 6>) numerics(#scaling.numerics<kernel>)\n"
        f"  return %r#0 : {matrix}\n}}\n"
    )


def make(source, emit, path, plain=False, **environment):
    command = [find_tool("scaling-compile"), "-", "--target=nvptx", "--chip=sm_90",
               f"--emit={emit}", "-o", path, *["--plain-launches"] * plain]  # fmt: skip
    merged = {**os.environ, **environment}
    subprocess.run(
        command, input=source, text=True, check=True, timeout=300,
        env={k: v for k, v in merged.items() if v is not None},
    )  # fmt: skip


def memref(rank):
    class MemRef(ctypes.Structure):
        _fields_ = [
            ("allocated", ctypes.c_void_p), ("data", ctypes.c_void_p),
            ("offset", ctypes.c_int64), ("sizes", ctypes.c_int64 * rank),
            ("strides", ctypes.c_int64 * rank),
        ]  # fmt: skip

    return MemRef


def describe(array):
    strides = [s // array.itemsize for s in array.strides]
    return memref(array.ndim)(
        array.ctypes.data, array.ctypes.data, 0, array.shape, tuple(strides)
    )


class Host:
    """The runtime over the fake driver, and libraries of programs."""

    def __init__(self, folder):
        driver = folder / "libfake_driver.so"
        subprocess.run(
            ["clang", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", driver,
             ROOT / "test" / "Tools" / "Inputs" / "fake_driver.c"],
            check=True,
        )  # fmt: skip
        os.environ["SCALING_CUDA_DRIVER"] = str(driver)
        self.folder = folder
        self.driver = ctypes.CDLL(str(driver))
        self.driver.fake_take_record.restype = ctypes.c_char_p
        lib = Path(find_tool("scaling-compile")).parent.parent / "lib"
        self.runtime = ctypes.CDLL(str(lib / "libscaling_cuda_runtime.so"))
        self.runtime.scaling_cuda_message.restype = ctypes.c_char_p
        self.libraries = {}

    def library(self, name, plain=False):
        key = f"plain_{name}" if plain else name
        if key not in self.libraries:
            path = self.folder / f"lib{key}.so"
            make(program(name), "shared", path, plain)
            self.libraries[key] = ctypes.CDLL(str(path))
        return self.libraries[key]

    def call(self, name, matrix, plain=False):
        """The error and the result; the calls are in `self.calls`."""
        result = np.full_like(matrix, np.nan)
        given, taken = describe(matrix), describe(result)
        function = getattr(self.library(name, plain), f"_mlir_ciface_{name}")
        error = function(ctypes.byref(given), ctypes.byref(taken), None)
        self.calls = self.driver.fake_take_record().decode().split()
        return error, result

    def on_launch(self, function):
        self.callback = LAUNCH(function)
        self.driver.fake_on_launch(self.callback)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return Host(tmp_path_factory.mktemp("host"))


@pytest.fixture(autouse=True)
def healthy(host):
    host.driver.fake_fail(b"", 0)
    host.on_launch(lambda *_: None)
    yield
    assert host.driver.fake_live_allocations() == 0


@pytest.mark.parametrize("name", SHAPES)
def test_emulated_launch(host, name):
    shape = {"batch": (70, 4, 4), "streaming": (70, 90)}[name]
    matrix = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    code = compile_kernel(program(name), "llvm")
    launches = []

    def launch(kernel, grid, block, shared, cooperative, stream, params):
        def words(first, count):
            return [
                ctypes.cast(params[first + i], ctypes.POINTER(ctypes.c_int64))[0]
                for i in range(count)
            ]

        fields = 3 + 2 * len(shape)
        strides = [s // 4 for s in matrix.strides]
        source, target = words(0, fields), words(fields, fields)
        for found in (source, target):
            assert found[0] == found[1]
            assert found[2:] == [0, *shape, *strides]
        assert source[1] == matrix.ctypes.data
        data, again, offset, size, stride = words(2 * fields, 5)
        assert (data, offset, stride) == (again, 0, 1)
        assert data % 64 == 0 and size >= 0
        if cooperative:
            counter = words(2 * fields + 5, 5)
            assert counter[2:] == [0, 1, 1]
            assert counter[1] >= data + size
            assert ctypes.cast(counter[1], ctypes.POINTER(ctypes.c_int64))[0] == 0
        (plan,), _ = execute(
            code, kernel.decode(), [matrix], [(shape, "f32")], grid=grid
        )
        ctypes.memmove(target[1], plan.ctypes.data, plan.nbytes)
        launches.append((grid, shared, cooperative))

    host.on_launch(launch)
    error, result = host.call(name, matrix)
    assert error == 0 and len(launches) == 1
    grid, shared, cooperative = launches[0]
    assert grid == 6 and cooperative == (name == "streaming")
    assert shared == 0 or "cuFuncSetAttribute" in host.calls
    expected = sr.project(matrix.astype(np.float64), kind="logits", stop=sr.fixed(6))
    np.testing.assert_allclose(result, expected.plan, rtol=2e-5, atol=1e-7)


def on_plain_launch(host, code, matrix, launches):
    """The emulator does all of it in the first launch; the state tells in the
    last one that is needed."""

    def launch(kernel, grid, block, shared, cooperative, stream, params):
        def words(first, count):
            return [
                ctypes.cast(params[first + i], ctypes.POINTER(ctypes.c_int64))[0]
                for i in range(count)
            ]

        data, again, offset, size, stride = words(2 * 7 + 5, 5)
        assert (data, offset, stride) == (again, 0, 1)
        state = ctypes.cast(data, ctypes.POINTER(ctypes.c_int32))
        bytes_of_block = int(
            re.search(r'"scaling.state-bytes"="(\d+)"', attributes(code, "streaming"))[
                1
            ]
        )
        assert not cooperative and size == grid * bytes_of_block
        if not launches:
            assert not any(state[i] for i in range(size // 4))
            (plan,), _ = execute(
                code, kernel.decode(), [matrix], [(matrix.shape, "f32")], grid=grid
            )
            ctypes.memmove(words(7, 2)[1], plan.ctypes.data, plan.nbytes)
        launches.append(grid)
        state[0] = -1 if len(launches) >= NEEDED else len(launches)

    host.on_launch(launch)


def test_plain_launches(host):
    matrix = np.random.default_rng(4).normal(size=(70, 90)).astype(np.float32)
    code = compile_kernel(program("streaming"), "llvm", plain=True)
    launches = []
    on_plain_launch(host, code, matrix, launches)
    error, result = host.call("streaming", matrix, plain=True)
    assert error == 0
    assert launches == [6] * 2 * GROUP
    expected = sr.project(matrix.astype(np.float64), kind="logits", stop=sr.fixed(6))
    np.testing.assert_allclose(result, expected.plan, rtol=2e-5, atol=1e-7)
    asks = [*["cuLaunchKernel"] * GROUP, "cuMemcpyDtoHAsync", "cuStreamSynchronize"]
    frees = ["cuMemFreeAsync"] * 2
    assert host.calls[-2 * len(asks) - 2 :] == [*asks, *asks, *frees]
    assert "cuLaunchCooperativeKernel" not in host.calls


@pytest.mark.parametrize(
    "call", ["cuMemAllocAsync", "cuLaunchKernel", "cuMemcpyDtoHAsync", "cuStreamSynchronize"]
)  # fmt: skip
def test_errors_of_plain_launches(host, call):
    matrix = np.zeros((70, 90), np.float32)
    host.driver.fake_fail(call.encode(), LAUNCH_FAILED)
    error, _ = host.call("streaming", matrix, plain=True)
    assert error == LAUNCH_FAILED
    assert call in host.runtime.scaling_cuda_message().decode()
    assert host.calls.count("cuLaunchKernel") <= GROUP


def test_order_of_calls(host):
    matrix = np.zeros((70, 90), np.float32)
    host.call("streaming", matrix)
    assert host.call("streaming", matrix)[0] == 0
    # The module is there since the first call.
    calls = [c for c in host.calls if c not in ("cuFuncSetAttribute",)]
    assert calls == [
        "cuModuleGetFunction", "cuMemAllocAsync", "cuMemsetD32Async",
        "cuCtxGetDevice", "cuDeviceGetAttribute",
        "cuOccupancyMaxActiveBlocksPerMultiprocessor",
        "cuLaunchCooperativeKernel", "cuMemFreeAsync",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "call, value, name",
    [
        ("cuMemAllocAsync", OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"),
        ("cuMemsetD32Async", LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"),
        ("cuLaunchCooperativeKernel", LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"),
        ("cuModuleGetFunction", 500, "CUDA_ERROR_UNKNOWN"),
    ],
)
def test_errors_are_told_and_memory_released(host, call, value, name):
    matrix = np.zeros((70, 90), np.float32)
    host.driver.fake_fail(call.encode(), value)
    error, _ = host.call("streaming", matrix)
    assert error == value
    message = host.runtime.scaling_cuda_message().decode()
    assert call in message and name in message
    if call != "cuLaunchCooperativeKernel":
        assert "cuLaunchCooperativeKernel" not in host.calls
    # The next call starts anew.
    host.driver.fake_fail(b"", 0)
    assert host.call("streaming", matrix)[0] == 0
    assert host.runtime.scaling_cuda_message() == b""


def find_ptxas():
    packages = Path(np.__file__).resolve().parents[1]
    wheel = packages / "nvidia" / "cuda_nvcc" / "bin" / "ptxas"
    return str(wheel) if wheel.exists() else shutil.which("ptxas")


@pytest.mark.parametrize("assembler", [True, False])
def test_ptx_where_no_cubin_fits(host, assembler):
    """PTX for the driver to compile; all there is where there was no `ptxas`."""
    if assembler:
        if not find_ptxas():
            pytest.skip("no ptxas")
        environment = {"SCALING_PTXAS": find_ptxas()}
    else:
        environment = {"SCALING_PTXAS": None, "PATH": "/nowhere"}
        environment |= dict.fromkeys(("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"))
    path = host.folder / f"libjit_{assembler}.so"
    make(program("batch"), "shared", path, **environment)
    host.driver.fake_fail(b"NoCubin", NO_BINARY)
    host.libraries["batch"] = ctypes.CDLL(str(path))
    error, _ = host.call("batch", np.zeros((3, 4, 4), np.float32))
    assert error == 0
    assert host.calls.count("cuModuleLoadData") == (2 if assembler else 1)
    assert "cuLaunchKernel" in host.calls


def test_without_a_driver(host):
    """In a process of its own: the driver is looked for once."""
    path = host.folder / "libstreaming.so"
    host.library("streaming")
    code = (
        "import ctypes, sys\n"
        f"library = ctypes.CDLL({str(path)!r})\n"
        "arguments = [ctypes.create_string_buffer(56) for _ in range(2)]\n"
        "print(library._mlir_ciface_streaming(*arguments, None))\n"
        "message = library.scaling_cuda_message\n"
        "message.restype = ctypes.c_char_p\n"
        "print(message().decode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "SCALING_CUDA_DRIVER": "/nowhere/libcuda.so"},
    )  # fmt: skip
    error, message = done.stdout.splitlines()
    assert int(error) == NO_DRIVER
    assert message.startswith("no CUDA driver: /nowhere/libcuda.so")


def test_without_a_device(host):
    code = (
        "import ctypes\n"
        f"library = ctypes.CDLL({str(host.folder / 'libstreaming.so')!r})\n"
        "arguments = [ctypes.create_string_buffer(56) for _ in range(2)]\n"
        "print(library._mlir_ciface_streaming(*arguments, None))\n"
    )
    host.library("streaming")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "FAKE_DRIVER_FAIL": "cuInit:100"},
    )  # fmt: skip
    assert int(done.stdout) == 100
