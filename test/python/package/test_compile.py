"""Programs: compile, the caches, threads, and what is wrong."""

import os
import re
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scaling
from findtool import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from scaling import _programs

ROWSUM = """
func.func @rowsum(%x: tensor<?x3xf32> {scaling.name = "x"}, %s: f32) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x3xf32>
  %e = tensor.empty(%n) : tensor<?xf32>
  %f = linalg.fill ins(%s : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %r = linalg.reduce ins(%x : tensor<?x3xf32>) outs(%f : tensor<?xf32>) dimensions = [1]
    (%a: f32, %b: f32) { %c = arith.addf %a, %b : f32  linalg.yield %c : f32 }
  return %r : tensor<?xf32>
}
func.func @fill(%x: memref<4xi32>, %v: i32) {
  linalg.fill ins(%v : i32) outs(%x : memref<4xi32>)
  return
}
func.func @two(%x: tensor<2xf64>) -> (tensor<2xf64>, i1) {
  %true = arith.constant true
  return %x, %true : tensor<2xf64>, i1
}
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A disk cache of this test's own, and nothing in memory."""
    monkeypatch.setenv("SCALING_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(_programs, "_memory", _programs._Memory())
    return tmp_path / "cache"


@pytest.mark.parametrize("route", ["cpu", "linalg"])
def test_compile(route):
    program = scaling.compile(ROWSUM, route=route)
    assert list(program) == ["rowsum", "fill", "two"] and "fill" in dir(program)
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(program.rowsum(x, 1), x.sum(1) + 1)
    np.testing.assert_array_equal(program["rowsum"](x[::2], 0.5), x[::2].sum(1) + 0.5)
    target = np.zeros(4, np.int32)
    program.fill(target, -7)
    assert target.tolist() == [-7] * 4
    y, flag = program.two(np.ones(2))
    assert y.tolist() == [1, 1] and flag.dtype == bool and flag[()]
    assert repr(program.rowsum) == "<rowsum(x: ?x3xf32, arg1: f32) -> (result0: ?xf32)>"


def test_what_is_wrong_with_a_call_of_a_program():
    program = scaling.compile(ROWSUM)
    x = np.zeros((4, 3), np.float32)
    cases = [
        (TypeError, "takes 2 arguments, 1 were given", "rowsum", (x,)),
        (TypeError, r"argument 0 \(x\).*float64.*float32", "rowsum", (x.astype(float), 1)),
        (ValueError, r"\(4, 2\), expected \(\?, 3\)", "rowsum", (x[:, :2], 1)),
        (ValueError, r"\(3,\), expected", "rowsum", (x[0], 1)),
        (TypeError, "must be real number", "rowsum", (x, "one")),
        (ValueError, "contiguous and writable", "fill", (np.zeros(8, np.int32)[::2], 1)),
        (ValueError, "not in the range of i32", "fill", (np.zeros(4, np.int32), 2**40)),
    ]  # fmt: skip
    for error, message, name, args in cases:
        with pytest.raises(error, match=message):
            program[name](*args)
    with pytest.raises(AttributeError, match="no function 'rows'; there is: rowsum"):
        program.rows


@pytest.mark.parametrize(
    "text, message",
    [
        ("func.func @f(", "error"),
        ("func.func @f(%x: tensor<*xf32>) { return }", "argument"),
        ("func.func @f() { scaling.nothing }", "nothing"),
    ],
)
def test_a_program_that_is_refused(text, message):
    with pytest.raises(scaling.CompileError, match=message):
        scaling.compile(text)
    with pytest.raises(TypeError, match="mlir_text"):
        scaling.compile(text.encode())
    with pytest.raises(ValueError, match="route"):
        scaling.compile(text, route="gpu")


SQUARE = np.eye(4) + 0.5


@pytest.mark.parametrize(
    "error, message, call",
    [
        (ValueError, "preset: 'mch' was given, allowed are 'mhc'",
         lambda: scaling.project(SQUARE, preset="mch")),
        (ValueError, "preset: 'mhc'", lambda: scaling.sinkhorn(SQUARE, preset="mhc")),
        (TypeError, "order: 3 was given", lambda: scaling.project(SQUARE, order=3)),
        (ValueError, "temperature: -1.0", lambda: scaling.project(SQUARE, temperature=-1)),
        (ValueError, "temperature: nan", lambda: scaling.project(SQUARE, temperature=np.nan)),
        (TypeError, "temperature: a number", lambda: scaling.project(SQUARE, temperature="1")),
        (ValueError, "tol: -1", lambda: scaling.project(SQUARE, tol=-1)),
        (ValueError, "half_steps: -1", lambda: scaling.project(SQUARE, half_steps=-1)),
        (TypeError, "half_steps: a whole", lambda: scaling.project(SQUARE, half_steps=1.5)),
        (ValueError, "exclude", lambda: scaling.project(SQUARE, half_steps=1, tol=1)),
        (TypeError, "rows: a scaling.Rule", lambda: scaling.project(SQUARE, rows=3)),
        (ValueError, "rows: guard: 'add'",
         lambda: scaling.project(SQUARE, rows=scaling.Rule(guard=("add", 1.0)))),
        (ValueError, "rows: stat: 'max'", lambda: scaling.balance(SQUARE, rows="max")),
        (ValueError, r"matrix: the shape is \(4,\)", lambda: scaling.project(SQUARE[0])),
        (ValueError, r"row_marginal: .*\(3,\), but 4",
         lambda: scaling.project(SQUARE, row_marginal=np.ones(3))),
        (ValueError, "batch",
         lambda: scaling.project(np.ones((2, 4, 4)), row_marginal=np.ones((3, 4)))),
        (TypeError, "complex128", lambda: scaling.project(SQUARE * 1j)),
        (TypeError, "matrix: an array", lambda: scaling.project(None)),
        (TypeError, "value: an array", lambda: scaling.attention(SQUARE, SQUARE, None)),
        (TypeError, "row_mask: booleans", lambda: scaling.project(SQUARE, row_mask=np.ones(4))),
        (ValueError, "tau", lambda: scaling.project(SQUARE, rows=scaling.Rule(tau=2.0))),
        (TypeError, "g: f and g go together", lambda: scaling.plan(SQUARE, np.ones(4))),
        (ValueError, "row_marginal: the potentials",
         lambda: scaling.plan(SQUARE, np.ones(4), np.ones(4), row_marginal=np.ones(4))),
        (ValueError, "operand", lambda: scaling.apply(SQUARE)),
        (ValueError, "kind: 'sum'", lambda: scaling.apply(SQUARE, kind="sum")),
        (ValueError, "metric: 'l3'", lambda: scaling.pairwise(SQUARE, SQUARE, "l3")),
        (ValueError, "axis: 'both'", lambda: scaling.normalize(SQUARE, "both")),
        (ValueError, "max_half_steps", lambda: scaling.project(SQUARE, max_half_steps=5, half_steps=3)),
        (ValueError, "matrix: .*inhomogeneous", lambda: scaling.project([[1.0, 2.0], [3.0]])),
        (TypeError, "matrix: masked arrays",
         lambda: scaling.project(np.ma.masked_less(SQUARE, 1.0))),
        (TypeError, "strict: True or False", lambda: scaling.project(SQUARE, strict="no")),
        (TypeError, "standardize: True or False",
         lambda: scaling.project(SQUARE, input="cost", standardize=1)),
        (ValueError, "entry_eps: -1.0", lambda: scaling.project(SQUARE, entry_eps=-1)),
        (ValueError, "normalize_total: inf",
         lambda: scaling.project(SQUARE, normalize_total=np.inf)),
        (ValueError, "temperature: the batch",
         lambda: scaling.project(np.ones((3, 4, 4)), temperature=np.ones(2))),
        (ValueError, r"target: .*\(3,\), but 4",
         lambda: scaling.normalize(SQUARE, target=np.ones(3))),
        (TypeError, "^mask: booleans", lambda: scaling.normalize(SQUARE, mask=np.ones(4))),
        (ValueError, r"operand: .*\(3, 2\), but 4",
         lambda: scaling.apply(SQUARE, np.ones((3, 2)), preset="pot", temperature=1)),
        (TypeError, "transposed: True or False",
         lambda: scaling.apply(SQUARE, SQUARE, transposed="yes")),
        (ValueError, "kind: 'sum'", lambda: scaling.apply(SQUARE, SQUARE, kind="sum")),
        (ValueError, "^scaling.project: the row target",
         lambda: scaling.project(SQUARE, preset="superglue")),
        (TypeError, "count: a whole number", lambda: scaling.set_num_threads("two")),
        (ValueError, "count: -1", lambda: scaling.set_num_threads(-1)),
    ],
)  # fmt: skip
def test_errors_name_the_argument(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_warnings():
    logits = np.array([[[0.0, 50.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    with pytest.warns(
        scaling.ConvergenceWarning, match="1 of 2 problems: the residual"
    ):
        _, info = scaling.project(logits, max_half_steps=4, tol=1e-12, return_info=True)
    assert info.status.tolist() == [2, 1] and not info.converged
    with pytest.warns(scaling.ConvergenceWarning, match="diverged") as caught:
        scaling.project(logits * np.nan, preset="mhc_log")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaling.project(logits, half_steps=4)
        scaling.balance(SQUARE, preset="sinq")


class Exporter:
    """What is no NumPy array, but has DLPack."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        if isinstance(self.device, Exception):
            raise self.device
        return self.device


def test_dlpack():
    expected = scaling.project(SQUARE, half_steps=4)
    got = scaling.project(Exporter(SQUARE), half_steps=4)
    np.testing.assert_array_equal(got, expected)
    with pytest.raises(ValueError, match="matrix: .*device type 2; only CPU"):
        scaling.project(Exporter(SQUARE, (2, 0)))
    with pytest.raises(ValueError, match="matrix: only arrays in CPU memory"):
        scaling.project(Exporter(SQUARE, ValueError("a device of its own")))


def test_disk_cache(cache, monkeypatch):
    scaling.compile(ROWSUM)
    (file,) = cache.iterdir()
    compiled = []
    original = _programs._core.compile
    monkeypatch.setattr(
        _programs._core, "compile", lambda *a: compiled.append(1) or original(*a)
    )
    x = np.ones((2, 3), np.float32)
    monkeypatch.setattr(_programs, "_memory", _programs._Memory())
    assert scaling.compile(ROWSUM).rowsum(x, 0).tolist() == [3, 3] and not compiled
    # Bytes that are not what was written are no program.
    content = file.read_bytes()
    for bad in (content[:-1], content[:-1] + b"x", b"", b"\n\n"):
        file.write_bytes(bad)
        monkeypatch.setattr(_programs, "_memory", _programs._Memory())
        assert scaling.compile(ROWSUM).rowsum(x, 0).tolist() == [3, 3]
        assert compiled.pop() and file.read_bytes() == content
    # Another compiler's are not this one's.
    monkeypatch.setattr(_programs, "_identity", lambda: "another")
    monkeypatch.setattr(_programs, "_memory", _programs._Memory())
    scaling.compile(ROWSUM)
    assert compiled and len(list(cache.iterdir())) == 2


def test_disk_cache_has_a_limit(cache, monkeypatch):
    text = "func.func @f() -> i32 {{ %c = arith.constant {} : i32  return %c : i32 }}"
    scaling.compile(text.format(0))
    size = next(cache.iterdir()).stat().st_size
    monkeypatch.setenv("SCALING_CACHE_SIZE", str(3 * size + size // 2))
    for i in range(1, 6):
        scaling.compile(text.format(i))
    assert len(list(cache.iterdir())) == 3
    monkeypatch.setenv("SCALING_CACHE_SIZE", "10")
    scaling.compile(text.format(9))
    assert len(list(cache.iterdir())) == 3


def test_no_disk_is_no_failure(cache, monkeypatch):
    cache.write_text("a file where the folder would be")
    assert scaling.compile(ROWSUM).rowsum is not None
    monkeypatch.setenv("SCALING_CACHE_DIR", "")
    assert scaling.cache_directory() is None
    monkeypatch.setattr(_programs, "_memory", _programs._Memory())
    assert scaling.compile(ROWSUM).rowsum is not None


def test_several_processes_share_the_disk_cache(cache, python_environment):
    code = (
        "import numpy as np, scaling\n"
        "p = scaling.project(np.eye(3), preset='mhc_log')\n"
        "assert abs(p.sum(0) - 1).max() < 1e-12"
    )
    environment = python_environment | {"SCALING_CACHE_DIR": str(cache)}
    running = [
        subprocess.Popen([sys.executable, "-c", code], env=environment)
        for _ in range(4)
    ]
    assert [process.wait(timeout=600) for process in running] == [0] * 4
    assert [path.name[0] != "." for path in cache.iterdir()] == [True]


def test_threads(cache, monkeypatch):
    compiled = []
    original = _programs._core.compile
    monkeypatch.setattr(
        _programs._core, "compile", lambda *a: compiled.append(1) or original(*a)
    )
    text = (
        "func.func @f(%x: tensor<?xf64>) -> tensor<?xf64> { return %x : tensor<?xf64> }"
    )
    logits = np.random.default_rng(0).normal(size=(8, 16, 16))
    expected = scaling.project(logits, half_steps=10)
    compiled.clear()
    start = threading.Barrier(8)

    def work(i):
        start.wait()
        x = np.full(5, float(i))
        same = scaling.compile(text).f(x)
        return all(
            np.array_equal(scaling.project(logits, half_steps=10), expected)
            for _ in range(20)
        ) and np.array_equal(same, x)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert len(compiled) == 1


def test_the_examples_of_the_page():
    page = (ROOT / "docs" / "python.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    examples = [code for code in examples if "torch" not in code]
    assert examples
    for code in examples:
        exec(code, {})


def test_calls_cost_little():
    logits = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)
    scaling.project(logits, preset="mhc")
    best = np.inf
    for _ in range(5000):
        start = time.perf_counter()
        scaling.project(logits, preset="mhc")
        best = min(best, time.perf_counter() - start)
    assert best < 20e-6


def test_the_first_call_takes_less_than_a_second(cache):
    # Time of the processor: others may be busy, too.
    logits = np.random.default_rng(0).normal(size=(4, 4))
    start = time.process_time()
    scaling.project(logits, preset="mhc_clamp")
    assert time.process_time() - start < 1


def test_after_a_fork():
    logits = np.random.default_rng(0).normal(size=(64, 33, 33))
    expected = scaling.project(logits, half_steps=6)
    with warnings.catch_warnings():
        # Python warns of forks of processes with threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        same = np.array_equal(scaling.project(logits, half_steps=6), expected)
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_any_layout_gives_what_a_copy_gives(data):
    sizes = st.integers(1, 3)
    shape = (*data.draw(st.lists(sizes, max_size=2)), 3, 3)
    wide = np.random.default_rng(1).normal(size=tuple(2 * s + 1 for s in shape))
    cut = tuple(
        slice(data.draw(st.integers(0, 1)), None, 2) if data.draw(st.booleans())
        else slice(2 * s, s, -1) for s in shape
    )  # fmt: skip
    view = wide[cut][tuple(slice(s) for s in shape)]
    if data.draw(st.booleans()):
        view = np.swapaxes(view, -1, -2)
    np.testing.assert_array_equal(
        scaling.project(view, half_steps=4), scaling.project(view.copy(), half_steps=4)
    )
