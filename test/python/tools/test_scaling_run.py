"""scaling-run on NumPy arrays: results, checks, malformed files.

The tools are looked for in $SCALING_BIN, else in build/bin.
"""

import os
import pathlib
import random
import subprocess

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("SCALING_BIN", ROOT / "build" / "bin"))
PROGRAM = ROOT / "test" / "Tools" / "Inputs" / "rowsum.mlir"

ELEMENTWISE = """
func.func @twice(%x: tensor<?x3x{0}>) -> tensor<?x3x{0}> {{
  %r = arith.{1} %x, %x : tensor<?x3x{0}>
  return %r : tensor<?x3x{0}>
}}
"""


def run(*args, ok=True):
    result = subprocess.run(
        [BIN / "scaling-run", *map(str, args), "--pipeline=linalg"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if ok:
        assert result.returncode == 0, result.stderr
    else:
        # A crash is a negative code.
        assert result.returncode == 1, (result.returncode, result.stderr)
        assert result.stderr.count("error:") == 1, result.stderr
    return result


@pytest.fixture
def matrix():
    return np.random.default_rng(0).normal(size=(37, 51)).astype(np.float32)


def test_results_and_reports(tmp_path, matrix):
    np.save(tmp_path / "x.npy", matrix)
    result = run(
        PROGRAM,
        "--entry=rowsum",
        f"--input={tmp_path}/x.npy",
        f"--output={tmp_path}/s.npy",
        "--repeat=3",
    )
    sums = np.load(tmp_path / "s.npy")
    assert sums.dtype == np.float32
    np.testing.assert_allclose(
        sums, np.exp(matrix.astype(np.float64)).sum(1), rtol=2e-6
    )
    assert "half_steps: 7\nresidual: 0.25\nstatus: limit\n" in result.stdout
    assert "time: best " in result.stdout and " median " in result.stdout
    assert sorted(os.listdir(tmp_path)) == ["s.npy", "x.npy"]


@pytest.mark.parametrize(
    "threads", [["--num-threads=1"], ["--num-threads=3"], ["--no-threads"]]
)
def test_threads_and_scalars(tmp_path, threads):
    x = np.arange(128, dtype=np.float32).reshape(8, 16)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "a.npy", np.float32(0.5))
    for scalar in ["0.5", tmp_path / "a.npy"]:
        run(
            PROGRAM,
            "--entry=scale",
            f"--input={tmp_path}/x.npy",
            f"--input={scalar}",
            f"--output={tmp_path}/y.npy",
            *threads,
        )
        np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), x / 2)


@pytest.mark.parametrize(
    "element, op, dtype",
    [
        ("f64", "addf", np.float64),
        ("f32", "addf", np.float32),
        ("f16", "addf", np.float16),
        ("bf16", "addf", np.uint16),
        ("i32", "addi", np.int32),
        ("i64", "addi", np.int64),
        ("i16", "addi", np.int16),
        ("i8", "addi", np.int8),
        ("index", "addi", np.int64),
        ("i1", "andi", np.bool_),
    ],
)
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_element_types(tmp_path, element, op, dtype, rows):
    (tmp_path / "p.mlir").write_text(ELEMENTWISE.format(element, op))
    x = np.arange(rows * 3).reshape(rows, 3)
    if element == "bf16":
        bits = lambda a: (a.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        x, expected = bits(x), bits(x * 2)
    elif element == "i1":
        x = expected = x % 2 == 0
    else:
        x = x.astype(dtype)
        expected = x + x
    np.save(tmp_path / "x.npy", x)
    run(tmp_path / "p.mlir", f"--input={tmp_path}/x.npy", f"--output={tmp_path}/y.npy")
    result = np.load(tmp_path / "y.npy")
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)


def test_bf16_spellings(tmp_path):
    (tmp_path / "p.mlir").write_text(ELEMENTWISE.format("bf16", "addf"))
    x = np.full((2, 3), 0x3F80, np.uint16)
    for view in [np.uint16, np.int16, "V2"]:
        np.save(tmp_path / "x.npy", x.view(view))
        run(
            tmp_path / "p.mlir",
            f"--input={tmp_path}/x.npy",
            f"--output={tmp_path}/y.npy",
        )
        assert (np.load(tmp_path / "y.npy") == 0x4000).all()
    np.save(tmp_path / "x.npy", x.astype(np.float16))
    run(tmp_path / "p.mlir", f"--input={tmp_path}/x.npy", ok=False)


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((3, 4)), "has elements of type '<f8', expected '<f4' for f32"),
        (np.zeros((3, 4), ">f4"), "element type '>f4' is not supported"),
        (np.zeros((3, 4), np.complex64), "element type '<c8' is not supported"),
        (np.zeros(3, [("a", "f4")]), "structured element types"),
        (np.zeros(3, np.float32), "has shape [3], expected [?, ?]"),
        (np.zeros((3, 4), np.float32, order="F"), "is in Fortran order"),
    ],
)
def test_wrong_arrays(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    result = run(
        PROGRAM,
        "--entry=rowsum",
        f"--input={tmp_path}/x.npy",
        f"--output={tmp_path}/s.npy",
        ok=False,
    )
    assert "argument 0 (matrix) of 'rowsum'" in result.stderr
    assert message in result.stderr
    assert os.listdir(tmp_path) == ["x.npy"]


def test_wrong_calls(tmp_path, matrix):
    np.save(tmp_path / "x.npy", matrix)
    np.save(tmp_path / "y.npy", np.zeros((8, 16), np.float32))
    x, y = f"--input={tmp_path}/x.npy", f"--input={tmp_path}/y.npy"
    out = f"--output={tmp_path}/out.npy"
    for args, message in [
        (["--entry=rowsum"], "has 1 arguments, 0 were given"),
        (["--entry=rowsum", x, x], "has 1 arguments, 2 were given"),
        (["--entry=none", x], "no public function 'none'; there is rowsum, scale"),
        ([x], "several public functions"),
        (["--entry=scale", x, "--input=1"], "has shape [37, 51], expected [8, 16]"),
        (["--entry=scale", y, "--input=one"], "neither a file nor a value of type f32"),
        (["--entry=scale", y, "--input=1", out, out], "has 1 results, 2 files"),
        (["--entry=rowsum", x, out, out], "two results cannot go to"),
        (["--entry=rowsum", f"--input={tmp_path}/none.npy", out], "No such file"),
        (["--entry=rowsum", f"--input={tmp_path}", out], "cannot read"),
        (["--entry=rowsum", x, "--repeat=0"], "--repeat must be at least 1"),
        (["--entry=rowsum", x, "--cpu=none"], "unknown CPU 'none'"),
        # Neither file appears when one cannot.
        (["--entry=rowsum", x, out, f"--output={tmp_path}/no/out.npy"], "cannot write"),
    ]:
        assert message in run(PROGRAM, *args, ok=False).stderr
        assert sorted(os.listdir(tmp_path)) == ["x.npy", "y.npy"]


def header(text, version=b"\x01\x00"):
    size = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + size + text.encode("latin1")


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }\n"


def test_header_versions(tmp_path):
    for version in [b"\x01\x00", b"\x02\x00"]:
        (tmp_path / "x.npy").write_bytes(header(GOOD, version) + bytes(16))
        run(PROGRAM, "--entry=rowsum", f"--input={tmp_path}/x.npy")


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x01\x00\xff\xff{",
        header(GOOD),
        header(GOOD) + bytes(15),
        header(GOOD) + bytes(17),
        header(GOOD, b"\x03\x00") + bytes(16),
        header(GOOD, b"\x01\x01") + bytes(16),
        header(GOOD.replace("(2, 2)", "(2, -2)")) + bytes(16),
        header(GOOD.replace("(2, 2)", "(2, 9223372036854775807)")) + bytes(16),
        header(GOOD.replace("(2, 2)", "(0, 99999999999999999999999)")),
        header(GOOD.replace("(2, 2)", "(0, 9223372036854775807)")),
        header(GOOD.replace("(2, 2)", "(2, 2")) + bytes(16),
        header(GOOD.replace("(2, 2)", "(4)")) + bytes(16),
        header(GOOD.replace("(2, 2)", "(" + "1, " * 99 + ")")) + bytes(4),
        header(GOOD.replace("False", "Maybe")) + bytes(16),
        header(GOOD.replace("'shape'", "'descr'")) + bytes(16),
        header(GOOD.replace("}", "")) + bytes(16),
        header(GOOD + "x") + bytes(16),
        header("{}"),
        header("[]"),
        header("'"),
    ],
)
def test_malformed(tmp_path, contents):
    (tmp_path / "x.npy").write_bytes(contents)
    run(PROGRAM, "--entry=rowsum", f"--input={tmp_path}/x.npy", ok=False)


def test_mutants(tmp_path):
    """Whatever the file holds: an error or a result, never a crash."""
    rng = random.Random(0)
    good = header(GOOD) + bytes(16)
    for _ in range(60):
        mutant = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            where = rng.randrange(len(mutant))
            choice = rng.randrange(3)
            if choice == 0:
                mutant[where] = rng.randrange(256)
            elif choice == 1:
                del mutant[where]
            else:
                mutant.insert(where, rng.choice(b"0123456789(),'{} "))
        (tmp_path / "x.npy").write_bytes(mutant)
        result = subprocess.run(
            [
                BIN / "scaling-run",
                PROGRAM,
                "--entry=rowsum",
                f"--input={tmp_path}/x.npy",
                "--pipeline=linalg",
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert result.returncode in (0, 1), (bytes(mutant), result.stderr)
