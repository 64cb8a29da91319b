"""The counts of the GPU kernels: the targets that hold, and the formulas."""

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from assembled_kernels import assemble, find_ptxas
from emulated_kernels import compile_kernel, launch_bounds
from findtool import find_tool

BENCHMARK = Path(__file__).resolve().parents[3] / "benchmark"
sys.path.insert(0, str(BENCHMARK))

import gpu  # noqa: E402
import sass  # noqa: E402

CAN_DISASSEMBLE = bool(find_ptxas() and sass.find_nvdisasm())


def test_occupancy():
    assert gpu.occupancy(32, 256, 0) == 1.0
    assert gpu.occupancy(255, 256, 0) == 0.125
    assert gpu.occupancy(32, 256, 100 << 10) == 0.25


def test_estimate_is_the_largest_bound():
    unit = gpu.GPU(bandwidth=1.0, cycles=1.0)
    assert gpu.estimate(unit, 1, 1, 1) == 1e3
    assert gpu.estimate(unit, 1, 256, 1) == 2e3
    assert gpu.estimate(unit, 1, 1, 48) == 3e3


def test_targets_of_small_matrices(tmp_path):
    tools = Path(find_tool("scaling-compile")).parent
    subprocess.run(
        [sys.executable, BENCHMARK / "gpu.py", "mhc", "--bin", tools, "--out", tmp_path],
        check=True, capture_output=True,
    )  # fmt: skip
    rows = json.loads((tmp_path / "bench-gpu.json").read_text())
    ours, by_hand, *others = rows
    assert by_hand["workload"] == "mhc, by hand"
    assert {row["workload"] for row in others} <= {"mhc, Triton"}
    assert all(set(row) == set(gpu.COLUMNS) for row in rows)
    assert ours["launches"] == 1
    assert ours["bytes_over_minimum"] <= 1.02
    assert ours["sectors_over_ideal"] == 1
    assert ours["exponentials_over_minimum"] == 1
    assert ours["bank_conflicts"] == 0
    assert ours["spills"] in (0, None)
    assert set(ours["estimate_ms"]) == {"A100", "H100", "B200"}
    if CAN_DISASSEMBLE:
        # A sum and a product at least for every entry.
        assert 1 < by_hand["instructions_per_element"] < 2
        assert 1 < ours["instructions_per_element"]
        assert ours["instructions_per_element"] <= by_hand["instructions_per_element"]


def counted(name):
    """Our kernel's row of the table, and the one written by hand."""
    workload = gpu.WORKLOADS[name]
    by_hand = gpu.ByHand(workload, gpu.BY_HAND[name])
    return gpu.count(name, gpu.Ours(workload)), gpu.count(name, by_hand)


def test_targets_of_a_block():
    ours, by_hand = counted("resident")
    assert ours["bytes_over_minimum"] <= 1.05
    assert ours["bank_conflicts"] == 0
    assert ours["spills"] in (0, None)
    if CAN_DISASSEMBLE:
        assert ours["instructions_per_element"] <= by_hand["instructions_per_element"]


def test_targets_of_a_large_matrix():
    """The first sweep makes the matrix; rows are in registers between their sums
    and those of columns."""
    ours, by_hand = counted("streaming")
    assert ours["bytes_over_minimum"] <= 1.15 < by_hand["bytes_over_minimum"]
    assert ours["sectors_over_ideal"] == 1
    assert ours["bank_conflicts"] == 0
    assert ours["exponentials_over_minimum"] == 1
    assert ours["spills"] in (0, None)
    if CAN_DISASSEMBLE:
        assert ours["instructions_per_element"] <= by_hand["instructions_per_element"]


@pytest.mark.parametrize("type", ["64x1024", "?x1024", "?x?"])
def test_large_matrices_move_in_vectors(type):
    """Also where sizes are unknown, every lane of a warp has 16 bytes at a time,
    and a sweep reads the matrix once."""
    workload = replace(gpu.WORKLOADS["streaming"], type=type, emulated=(64, 1024))
    kernel = gpu.Ours(workload)
    steps = workload.half_steps
    results, report = kernel.execute(kernel.code(steps), steps)
    gpu.check(workload, results, steps, kernel.unit)
    loops = [
        loop
        for loop in report["loops"]
        if loop["depth"]
        and loop["global_requests"]
        and loop["ir_instructions"] > gpu.MAIN * report["ir_instructions"]
    ]
    assert loops
    for loop in loops:
        assert loop["global_bytes"] == 32 * 16 * loop["global_requests"], loop
    # The logits, three sweeps and the plan; factors and sums are the rest.
    matrix = 4 * 64 * 1024
    assert report["global"]["read_bytes"] < 1.4 * 5 * matrix


@pytest.mark.parametrize(
    "type, size, most", [("?x?", (64, 4096), 4.5), ("64x1001", (64, 1001), 4.0)]
)
def test_instructions_of_other_rows(type, size, most):
    """Of unknown length, and of rows that do not begin at 16 bytes: several of
    them are copied at once, and their sectors are read once."""
    workload = replace(gpu.WORKLOADS["streaming"], type=type, emulated=size)
    row = gpu.count("streaming", gpu.Ours(workload))
    assert row["bytes_over_minimum"] <= 1.45
    assert row["sectors_over_ideal"] <= 1.05
    assert row["bank_conflicts"] == 0
    assert row["spills"] in (0, None)
    if CAN_DISASSEMBLE:
        assert row["instructions_per_element"] <= most


SMALL = {
    "mhc": replace(gpu.WORKLOADS["mhc"], emulated=(129, 4, 4), half_steps=4),
    "resident": replace(gpu.WORKLOADS["resident"], emulated=(3, 33, 70)),
    "streaming": replace(gpu.WORKLOADS["streaming"], emulated=(16, 4096), grid=3),
    "cloud": replace(gpu.WORKLOADS["cloud"], emulated=(256, 128), half_steps=4),
    "cloud tf32": replace(
        gpu.WORKLOADS["cloud tf32"], emulated=(256, 128), half_steps=4
    ),
}


@pytest.mark.parametrize("name", gpu.BY_HAND)
def test_handwritten_kernels_are_right(name):
    """Also code that is not ours: the emulator finds neither races nor reads of
    what nobody has written."""
    kernel = gpu.ByHand(SMALL[name], gpu.BY_HAND[name])
    steps = SMALL[name].half_steps
    results, report = kernel.execute(kernel.code(steps), steps, races=True)
    gpu.check(SMALL[name], results, steps, kernel.unit)
    assert report["faults"] == []


DOT = """
#define KERNEL extern "C" __attribute__((global))
KERNEL void dot(const float *__restrict a, float *__restrict out, int count) {
  float sum = 0;
  int first = __nvvm_read_ptx_sreg_tid_x();
#pragma unroll 1
  for (int i = first; i < count; i += 64)
    sum += a[i] * a[i + 1];
  out[first] = sum;
}
"""


@pytest.mark.skipif(not CAN_DISASSEMBLE, reason="no ptxas or nvdisasm")
def test_executions_of_an_unrolled_loop(tmp_path):
    """ptxas unrolls the loop and leaves a rest; every product counts once."""
    (tmp_path / "dot.cu").write_text(DOT)
    code = subprocess.run(
        [sass.LLVM / "clang++", "-x", "cuda", "--cuda-device-only",
         "--cuda-gpu-arch=sm_90", "-nocudalib", "-nocudainc",
         "-Wno-unknown-cuda-version", "-O2", "-S", "-emit-llvm", tmp_path / "dot.cu",
         "-o", "-"], check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    # Clang leaves the loop alone, and would tell ptxas to do so as well.
    code = re.sub(r", !llvm.loop !\d+", "", code)
    marked = sass.mark_lines(code)
    (tmp_path / "dot.ll").write_text(marked)
    np.save(tmp_path / "a.npy", np.ones(1001, np.float32))
    subprocess.run(
        [find_tool("scaling-simt"), tmp_path / "dot.ll", "--block=64",
         f"--input={tmp_path / 'a.npy'}", f"--output={tmp_path / 'o.npy'}:f32:64",
         "--scalar=1000:i32", f"--report={tmp_path / 'r.json'}"],
        check=True,
    )  # fmt: skip
    lines = json.loads((tmp_path / "r.json").read_text())["lines"]
    made = []
    for text in (code, marked):
        ptx = sass.back_end(text, "sm_90", gpu.PTX_VERSION)
        made.append(sass.disassemble(sass.assemble(ptx, "sm_90", find_ptxas()))["dot"])
    plain, kernel = made
    # Lines change nothing.
    assert Counter(i.opcode for i in plain.code) == Counter(
        i.opcode for i in kernel.code
    )
    times = sass.executions(kernel, {int(line): n for line, n in lines.items()})
    products = [i for i, one in enumerate(kernel.code) if one.opcode == "FFMA"]
    assert len(products) > 1
    assert sum(times[i] for i in products) == pytest.approx(1000)
    loop = kernel.innermost(max(products, key=lambda i: times[i]))
    assert kernel.mix(loop)["FFMA"] == 4


@pytest.mark.skipif(not CAN_DISASSEMBLE, reason="no ptxas or nvdisasm")
@pytest.mark.parametrize("products, most", [("tf32", 8.0), ("bf16", 7.0), ("f16", 7.0)])
def test_instructions_of_tensor_cores(products, most):
    """Of the loop over tiles, per entry of a tile of 128 by 256 points."""
    ours = gpu.Ours(gpu.WORKLOADS[f"cloud {products}"])
    ptx = sass.back_end(ours.code(2), gpu.CHIP, gpu.PTX_VERSION)
    code = sass.disassemble(sass.assemble(ptx, gpu.CHIP, find_ptxas()))[ours.entry]
    entries = 128 * 256 / ours.bounds()[0]
    loops = [loop for loop in code.loops if code.mix(loop)["HMMA"]]
    assert len(loops) == 2
    for loop in loops:
        depth = 8 if products == "tf32" else 16
        assert code.mix(loop)["HMMA"] == entries * 16 / depth
        assert len(loop) / entries <= most


@pytest.mark.skipif(not CAN_DISASSEMBLE, reason="no ptxas or nvdisasm")
def test_instructions_of_simultaneous_updates():
    """One sweep for both axes, of one product: two of f32 take 77 for every
    entry each."""
    kernel = gpu.Ours(gpu.WORKLOADS["cloud jacobi"])
    (report, fewer), (_, more) = (gpu.machine_code(kernel, s) for s in (2, 4))
    entries = np.prod(kernel.workload.emulated)
    assert (more - fewer) / (2 * entries) <= 46
    assert report["shared"]["bank_conflicts"] == 0
    assert report["exponentials"] <= 1.3 * kernel.workload.minimum_exponentials(2)


@pytest.mark.parametrize("products", ["f32", "tf32", "bf16", "f16"])
def test_bytes_of_points(products):
    """Every access moves whole sectors, and a half-step between two clouds of
    16384 points reads each once for every block of 128, and little else."""
    workload = replace(gpu.WORKLOADS["cloud"], products=products)
    kernel = gpu.Ours(workload)
    results, report = kernel.execute(kernel.code(2), 2)
    gpu.check(workload, results, 2, kernel.unit)
    memory = report["global"]
    for kind in ("read", "write"):
        sectors = memory[f"{kind}_sectors"]
        assert sectors <= 1.01 * memory[f"{kind}_sectors_ideal"]
    assert 1 < gpu.sweep_bytes(kernel) / workload.minimum_sweep() <= 1.05


APPLY = """
func.func @apply(%x: tensor<512x64x{point}>, %y: tensor<512x64x{point}>,
                 %u: tensor<512xf32>, %v: tensor<512xf32>,
                 %V: tensor<512x{columns}x{value}>) -> tensor<512x{columns}xf32> {{
  %s = arith.constant 0.3 : f32
  %e = tensor.empty() : tensor<512x{columns}xf32>
  %o = scaling.apply_points dot
      points(%x, %y : tensor<512x64x{point}>, tensor<512x64x{point}>)
      row(%u : tensor<512xf32>) col(%v : tensor<512xf32>) scale(%s : f32)
      products({products}) operand(%V : tensor<512x{columns}x{value}>)
      outs(%e : tensor<512x{columns}xf32>) -> tensor<512x{columns}xf32>
  return %o : tensor<512x{columns}xf32>
}}
"""


@pytest.mark.skipif(not CAN_DISASSEMBLE, reason="no ptxas or nvdisasm")
@pytest.mark.parametrize("chip", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize(
    "products, columns, most", [("tf32", 64, 14), ("bf16", 64, 8), ("bf16", 128, 10)]
)
def test_instructions_of_plans_by_tensor_cores(products, columns, most, chip):
    """Of the loop over tiles of 128 by 64 entries: those of both products."""
    stored = "f32" if products == "tf32" else products
    source = APPLY.format(
        products=products, point=stored, value=stored, columns=columns
    )
    code = compile_kernel(source, "llvm", chip)
    version = {"sm_100": 86}.get(chip, gpu.PTX_VERSION)
    ptx = sass.back_end(code, chip, version)
    found = assemble(ptx, chip)["apply"]
    assert (found["stack"], found["spills"]) == (0, 0)
    if chip != gpu.CHIP:
        return
    kernel = sass.disassemble(sass.assemble(ptx, chip, find_ptxas()))["apply"]
    loop = max(kernel.loops, key=lambda loop: kernel.mix(loop)["HMMA"])
    entries = 128 * 64 / launch_bounds(code, "apply")[0]
    depth = 8 if products == "tf32" else 16
    assert kernel.mix(loop)["HMMA"] == entries * (64 + columns) / 4 / depth
    assert len(loop) / entries <= most


@pytest.mark.skipif(not CAN_DISASSEMBLE, reason="no ptxas or nvdisasm")
def test_triton_kernels_have_a_main_loop():
    pytest.importorskip("triton")
    import triton_peers

    peers = triton_peers.peers()
    assert {"mhc, Triton", "streaming, Triton", "cloud, Triton"} <= set(peers)
    made = triton_peers.compile_peer(peers["streaming, Triton"])
    code = sass.disassemble(made.cubin)[made.name]
    loop = max(code.loops, key=len)
    # Sixteen rows of 256 entries, by 128 threads.
    assert code.mix(loop)["FFMA"] == 16 * 256 / 128


@pytest.mark.skipif(not CAN_DISASSEMBLE, reason="no ptxas or nvdisasm")
def test_triton_rows_are_complete():
    pytest.importorskip("triton")
    (row,) = gpu.count_triton(["mhc"])
    executed_only = {
        "counted_on",
        "sweep_bytes_over_minimum",
        "sectors_over_ideal",
        "bank_conflicts",
    }
    assert {name for name, value in row.items() if value is None} == executed_only
    assert row["launches"] == row["bytes_over_minimum"] == 1
    assert row["exponentials_over_minimum"] == 1
    # Lanes load and store 16 bytes each.
    assert row["sectors_per_request"] == 16


def test_unknown_workload(tmp_path):
    done = subprocess.run(
        [sys.executable, BENCHMARK / "gpu.py", "all", "--bin", tmp_path,
         "--out", tmp_path],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no workload 'all': there are mhc" in done.stderr
