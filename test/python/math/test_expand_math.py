"""Runs the expansion of exp2, exp, log2, log and powf on the machine.

All 2^32 patterns of f32, one after the other; what has two arguments or is
wider is sampled, more of it with SCALING_TEST_FULL=1.
"""

import os
import subprocess
from pathlib import Path

import kernels
import pytest
from findtool import find_llvm, find_tool

HERE = Path(__file__).resolve().parent
FULL = os.environ.get("SCALING_TEST_FULL", "0") not in ("", "0")
COUNT = 20_000_000 if FULL else 2_000_000

# Largest error in ulp: what the pass documents.
BOUNDS = {
    "exp2_f32": 0.95,
    "exp_f32": 1.18,
    "log2_f32": 1.10,
    "log_f32": 0.89,
    "pow_f32": 0.51,
    "pow_f32_specials": 0.51,
    "exp2_f64": 0.9,
    "exp_f64": 1.0,
    "log2_f64": 1.2,
    "log_f64": 0.9,
    "pow_f64": 1.1,
    "pow_f64_specials": 0.0,
}
for name in kernels.UNARY:
    for float_type in ("f32", "f64"):
        BOUNDS[f"{name}_{float_type}_scalar"] = BOUNDS[f"{name}_{float_type}"]
    # The rounded result of f32, which is much finer.
    for float_type in ("f16", "bf16"):
        BOUNDS[f"{name}_{float_type}"] = 0.501
    BOUNDS[f"reference_{name}"] = 1e-6
for source, target in kernels.CONVERSIONS:
    BOUNDS[f"{source}_to_{target}"] = 0.0
BOUNDS["exact_f32"] = BOUNDS["exact_f64"] = 0.0


def cpu_has(*features):
    cpuinfo = Path("/proc/cpuinfo")
    words = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return words.issuperset(features)


#: The ways to build a power of two that this machine can run.
WAYS = ["portable"]
if cpu_has("avx512f", "avx512vl"):
    WAYS.append("scalef")


@pytest.fixture(scope="module", params=WAYS)
def build(request, tmp_path_factory):
    """The object of all kernels, and the checker linked with it."""
    folder = tmp_path_factory.mktemp("expand_math")
    option = "=use-scalef" if request.param == "scalef" else ""
    lowered = subprocess.run(
        [
            find_tool("scaling-opt"),
            f"--scaling-expand-math{option}",
            "--convert-scf-to-cf",
            "--convert-vector-to-llvm",
            "--convert-math-to-llvm",
            "--convert-to-llvm",
            "--reconcile-unrealized-casts",
        ],
        input=kernels.module(),
        capture_output=True,
        text=True,
    )
    assert lowered.returncode == 0, lowered.stderr
    source = folder / "kernels.ll"
    subprocess.run(
        [find_llvm("mlir-translate"), "--mlir-to-llvmir", "-o", str(source)],
        input=lowered.stdout,
        text=True,
        check=True,
    )
    clang = find_llvm("clang++")
    flags = ["-O2", "-march=native", "-Wno-override-module"]
    subprocess.run(
        [clang, *flags, "-c", str(source), "-o", str(folder / "kernels.o")], check=True
    )
    command = [clang, "-std=c++17", "-O3", "-march=native", "-pthread"]
    command += [str(HERE / "check_math.cpp"), str(folder / "kernels.o")]
    command += ["-o", str(folder / "check_math")]
    # The vector library is glibc's on x86-64 only.
    if subprocess.run([*command, "-lmvec", "-lm"], capture_output=True).returncode:
        subprocess.run([*command, "-lm"], check=True)
    return folder


@pytest.fixture(scope="module")
def results(build):
    """{check: (ulp, wrong, worst argument)}"""
    run = subprocess.run(
        [str(build / "check_math"), "1", str(COUNT)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    return {name: (float(ulp), int(wrong), at) for name, ulp, wrong, at, _ in lines}


def test_object_calls_nothing(build):
    symbols = subprocess.run(
        [find_llvm("llvm-nm"), "--undefined-only", str(build / "kernels.o")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert symbols.stdout.strip() == ""


@pytest.mark.parametrize("check", sorted(BOUNDS))
def test_error(results, check):
    ulp, wrong, at = results[check]
    assert wrong == 0, f"{check}: {wrong} wrong results, for example at {at}"
    assert ulp <= BOUNDS[check], f"{check}: {ulp} ulp at {at}"


def test_every_check_has_a_bound(results):
    assert set(results) == set(BOUNDS)
