"""Gradients with respect to batches of points, and of what plans of points do: as
through the costs, which are never there whole."""

import ctypes
import subprocess
from dataclasses import dataclass, replace

import numpy as np
import pytest
from findtool import find_llvm, find_tool
from programs import FULL, Call, Programs, descriptor
from test_cloud_gradients import differentiated

D, K, HALF_STEPS, EPSILON = 3, 2, 70, 2.0
ROUTE = "cpu"


@dataclass(frozen=True)
class Shape:
    batch: tuple
    n: int
    m: int
    #: Of the second points and marginal: fewer batch dimensions.
    shared: int = 0

    @property
    def other(self):
        return self.batch[self.shared :]


#: Blocks of rows, and a rest; of several problems, and a rest.
SHAPES = {
    "rows": Shape((2,), 136, 130, shared=1),
    "several": Shape((13,), 40, 41),
    "nested": Shape((2, 3), 60, 50, shared=1),
    "single": Shape((), 200, 150),
}
STOPS = {
    "fixed": f"fixed {HALF_STEPS}",
    "until": f"until 1.0e-300, limit = {HALF_STEPS}",
}


def tensor(*shape):
    return f"tensor<{''.join(f'{s}x' for s in shape)}f64>"


def transport(name, shape, of_points, mode, domain="log", dims="static"):
    """An iteration, its factors and all that is made of them."""
    dynamic = dims == "dynamic"
    of = lambda *sizes: ["?" if dynamic else size for size in sizes]
    batch, other, (n, m) = of(*shape.batch), of(*shape.other), of(shape.n, shape.m)
    cost, factor, column = tensor(*batch, n, m), tensor(*batch, n), tensor(*batch, m)
    points = {"x": tensor(*batch, n, D), "y": tensor(*other, m, D)}
    given = (points if of_points else {"c": cost}) | {
        "a": factor,
        "b": tensor(*other, m),
        "v": tensor(*batch, m, K),
        "u": tensor(*batch, n, K),
    }
    rank = len(batch)
    sizes = [(f"%s{i}", "x" if of_points else "c", i) for i in range(rank + 1)]
    sizes.append(("%m", "y", len(other)) if of_points else ("%m", "c", rank + 1))
    text = [
        f"{size} = tensor.dim %{value}, %i{dim} : {given[value]}"
        for size, value, dim in sizes
    ]
    text = [
        *(f"%i{dim} = arith.constant {dim} : index" for dim in range(rank + 2)),
        *text,
    ]
    *leading, rows, cols = (
        [size for size, *_ in sizes] if dynamic else [""] * (rank + 2)
    )

    def empty(value, type, *sizes):
        shown = ", ".join(sizes) if dynamic else ""
        text.append(f"%{value} = tensor.empty({shown}) : {type}")

    plan = f"""domain({domain}) matrix(%X : {cost}) row(%r#0 : {factor})
          col(%r#1 : {column})"""
    marginals = f"row_weight(%a : {factor}) col_weight(%b : {given['b']})"
    #: The op, what else it takes, and the sizes of the result.
    made = {
        "P": ("plan", "", (rows, cols), cost),
        "O": ("apply product", f"operand(%v : {given['v']})", (rows,), given["u"]),
        "T": (
            "apply product transposed",
            f"operand(%u : {given['u']})",
            (cols,),
            given["v"],
        ),
        "C": ("apply value", f"operand(%c : {cost})", (), tensor(*batch)),
        "M": ("apply mass", "", (), tensor(*batch)),
        "D": ("apply dual", marginals, (), tensor(*batch)),
    }
    results = {"r#0": factor, "r#1": column} | {k: v[-1] for k, v in made.items()}
    if mode == "envelope":
        results = {"D": tensor(*batch)}
    loops = ", ".join(['"parallel"'] * (rank + 2))
    entry = ", ".join(f"d{i}" for i in range(rank + 2))
    entry = f"affine_map<({entry}) -> ({entry})>"
    empty("e", cost, *leading, rows, cols)
    if of_points:
        text.append(
            f"%c = scaling.pairwise sqeuclidean points(%x, %y : "
            f"{', '.join(points.values())}) outs(%e : {cost}) -> {cost}"
        )
    text.append(f"""%X = linalg.generic {{indexing_maps = [{entry}, {entry}],
          iterator_types = [{loops}]}} ins(%c : {cost}) outs(%e : {cost}) {{
      ^bb0(%in: f64, %out: f64):
        %k = arith.constant {-1 / EPSILON} : f64
        %t = arith.mulf %in, %k : f64
        {"%p = math.exp %t : f64" if domain == "kernel" else ""}
        linalg.yield {"%p" if domain == "kernel" else "%t"} : f64
      }} -> {cost}
      %r:5 = scaling.iterate matrix(%X : {cost}) row_target(%a : {factor})
          col_target(%b : {given["b"]}) rows(#scaling.rule<sum>)
          cols(#scaling.rule<sum>) order(rows_first)
          stop(#scaling.stop<{STOPS["until" if mode == "until" else "fixed"]}>)
          numerics(#scaling.numerics<{domain}>)
      %zero = arith.constant 0.0 : f64""")
    for value, (op, more, own, type) in made.items():
        if value not in results:
            continue
        empty(f"e{value}", type, *leading, *own)
        text.append(f"""%z{value} = linalg.fill ins(%zero : f64)
          outs(%e{value} : {type}) -> {type}
      %{value} = scaling.{op} {plan} {more} outs(%z{value} : {type}) -> {type}""")
    values = ", ".join(f"%{v}" for v in results)
    returned = ", ".join(results.values())
    signature = ", ".join(f"%{k}: {t}" for k, t in given.items())
    body = "\n".join(text)
    return (
        f"func.func @{name}({signature}) -> ({returned}) {{\n{body}\n"
        f"return {values} : {returned}\n}}"
    )


@dataclass
class Product(Call):
    shape: Shape = None
    mode: str = "fixed"
    domain: str = "log"

    @property
    def of_points(self):
        return "x" in self.operands

    def element_of(self, keyword):
        return "f64"

    def results(self):
        found = [
            (np.shape(v), "", "f64") for k, v in self.operands.items() if k[0] != "w"
        ]
        report = [(self.shape.batch, "", "i32")] if self.mode == "implicit" else []
        return found + report

    def text(self, name):
        text = transport(
            name.removesuffix("_vjp"),
            self.shape,
            self.of_points,
            self.mode,
            self.domain,
            self.dims,
        )
        mode = self.mode if self.mode in ("implicit", "envelope") else "unrolled"
        return differentiated(text, mode=mode).strip()[len("module {") : -1]


def operands(shape, mode, of_points):
    rng = np.random.default_rng(3)
    n, m, batch = shape.n, shape.m, shape.batch
    x = rng.normal(size=(*batch, n, D))
    y = rng.normal(size=(*shape.other, m, D))
    cost = np.sum((x[..., :, None, :] - y[..., None, :, :]) ** 2, -1)
    given = {"x": x, "y": y} if of_points else {"c": cost}
    given["a"] = rng.dirichlet(np.full(n, 5.0), size=batch)
    given["b"] = rng.dirichlet(np.full(m, 5.0), size=shape.other)
    given["v"] = rng.normal(size=(*batch, m, K))
    given["u"] = rng.normal(size=(*batch, n, K))
    weights = [
        rng.normal(size=(*batch, *tail))
        for tail in [(n,), (m,), (n, m), (n, K), (m, K), (), (), ()]
    ]
    if mode == "implicit":
        # Of potentials only what does not change with the gauge.
        weights[0] -= weights[0].mean(-1, keepdims=True)
        weights[1] -= weights[1].mean(-1, keepdims=True)
    if mode == "envelope":
        weights = weights[-1:]
    return given | {f"w{i}": w for i, w in enumerate(weights)}


def product(shape, mode, of_points, domain="log", dims="static"):
    shape = SHAPES[shape] if isinstance(shape, str) else shape
    return Product(
        "sinkhorn", operands(shape, mode, of_points), "", shape=shape, mode=mode,
        domain=domain, dims=dims,
    )  # fmt: skip


CASES = [
    ("rows", "fixed"),
    ("rows", "implicit"),
    ("rows", "envelope"),
    ("several", "fixed"),
    ("nested", "until"),
    ("nested", "dynamic"),
    ("nested", "kernel"),
    ("single", "implicit"),
]
if FULL:
    CASES += [("rows", "until"), ("several", "implicit"), ("single", "fixed")]


@pytest.fixture(scope="module")
def gradients():
    calls = {}
    for shape, mode in CASES:
        own, domain = ("fixed", "kernel") if mode == "kernel" else (mode, "log")
        own, dims = ("fixed", "dynamic") if mode == "dynamic" else (own, "static")
        calls[f"{shape}_{mode}_vjp"] = product(shape, own, True, domain, dims)
        # However the iteration stops, it takes the same half-steps.
        own = own if own in ("implicit", "envelope") else "fixed"
        calls.setdefault(f"{shape}_{own}_costs_vjp", product(shape, own, False))
    return Programs(ROUTE, calls, level=0)


@pytest.mark.parametrize("name,mode", CASES)
def test_as_through_the_costs(gradients, name, mode):
    costs = mode if mode in ("implicit", "envelope") else "fixed"

    def of(case):
        call = gradients.calls[case]
        if mode == "kernel":
            # Its factors are the exponentials of the other's.
            none = {key: np.zeros_like(call.operands[key]) for key in ("w0", "w1")}
            call = replace(call, operands=call.operands | none)
        return gradients.call(case, call)

    given = product(name, "fixed", True).operands
    x, y = given["x"], given["y"]
    of_costs, *own = of(f"{name}_{costs}_costs_vjp")
    turned = of_costs.swapaxes(-1, -2)
    of_y = 2 * (turned.sum(-1)[..., None] * y - turned @ x)
    expected = [
        2 * (of_costs.sum(-1)[..., None] * x - of_costs @ y),
        of_y.sum(tuple(range(of_y.ndim - y.ndim))),
        *own,
    ]
    found = of(f"{name}_{mode}_vjp")
    for is_, should in zip(found, expected, strict=True):
        np.testing.assert_allclose(is_, should, rtol=1e-7, atol=1e-9)


#: Of these nothing is to grow with the product of the sizes.
GROWING = [
    ((), "fixed", "log"),
    ((), "fixed", "kernel"),
    ((), "implicit", "log"),
    ((2,), "fixed", "log"),
    ((2,), "until", "log"),
    ((2,), "envelope", "log"),
]


def workspace_bytes(folder, shape, mode, domain):
    """What the companion of the program says, with all sizes known."""
    call = Product(
        "sinkhorn", {"x": None}, "", shape=shape, mode=mode, domain=domain
    )  # fmt: skip
    call.operands = operands(shape, mode, True)
    source, lowered, code, shared = (
        folder / f"f{suffix}" for suffix in (".mlir", ".llvm.mlir", ".ll", ".so")
    )
    source.write_text(call.text("f_vjp"))
    for command in (
        [find_tool("scaling-compile"), source, "--no-threads", "--emit=mlir",
         "--workspace-argument", "-o", lowered],
        [find_llvm("mlir-translate"), "--mlir-to-llvmir", lowered, "-o", code],
        [find_llvm("clang"), "-O0", "-march=native", "-w", "-fPIC", "-shared", "-x", "ir",
         code, "-lm", "-o", shared],
    ):  # fmt: skip
        subprocess.run(command, check=True, timeout=900)
    size = np.zeros(1, np.int64)
    shapes = [np.shape(v) for v in call.operands.values()]
    shapes += [result[0] for result in call.results()]
    passed = [descriptor(np.broadcast_to(0.0, shape)) for shape in shapes]
    passed.append(descriptor(size))
    library = ctypes.CDLL(str(shared))
    library._mlir_ciface_f_vjp_workspace_size(*map(ctypes.byref, passed))
    return int(size[0])


@pytest.mark.parametrize("batch,mode,domain", GROWING)
def test_workspace_grows_as_the_points(tmp_path, batch, mode, domain):
    found = []
    # Beyond what of a batch is made in half of L2.
    for n in (1024, 4096):
        (tmp_path / str(n)).mkdir()
        shape = Shape(batch, n, n)
        found.append(workspace_bytes(tmp_path / str(n), shape, mode, domain))
    # The product of the sizes grows by 16.
    assert 0 < found[1] < 8 * found[0]
    assert found[1] < 4096 * 4096 * 8
