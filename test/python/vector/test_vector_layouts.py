"""Shapes known to the compiler, strided buffers and other vector widths."""

import itertools
import re

import numpy as np
import pytest
from linalg_program import TOLERANCE, assert_close, store
from test_reduce import AXES, PASSES, identity, states
from vector_program import VectorProgram, guarded

STRIDED = "strided<[?, 1], offset: ?>"
SCATTERED = "strided<[?, ?], offset: ?>"
VECTOR = "strided<[?], offset: ?>"
STATIC = [(1, 1), (3, 4), (4, 3), (4, 16), (5, 17), (8, 32), (11, 40), (16, 5), (0, 4), (4, 0)]  # fmt: skip
BITS = [512, 256, 128]


def view(name, source, sizes, strides, result):
    """A view of a dense array, whose layout nothing is known about."""
    return (
        f"  %{name} = memref.reinterpret_cast %{name}_all to offset: [%c0],"
        f" sizes: [{', '.join(sizes)}], strides: [{', '.join(strides)}]"
        f" : {source} to {result}\n"
    )


def add(program, name, stat, axis, shape, layout, vector):
    """A reduction with factor and mask; `layout` is the matrix', `vector` the
    one of all others. Where they are strided, the function makes views."""
    n, m = ("?" if s is None else s for s in shape)
    other, kept = (m, n) if axis == "rows" else (n, m)

    def typed(sizes, element, layout):
        return f"memref<{sizes}x{element}{', ' + layout if layout else ''}>"

    matrix = typed(f"{n}x{m}", "f32", layout)
    buffers = [("A", matrix, layout, "f32")]
    buffers.append(("f", typed(other, "f32", vector), vector, "f32"))
    buffers.append(("m", typed(other, "i1", vector), vector, "i1"))
    states = [f"o{i}" for i in range(PASSES[stat])]
    buffers += [(o, typed(kept, "f32", vector), vector, "f32") for o in states]
    arguments, body = [], "  %c0 = arith.constant 0 : index\n"
    if layout:
        arguments = [(a, "index") for a in ("n", "m_", "s0", "s1", "step")]
    sizes = {"A": ["%n", "%m_"], "f": ["%m_"], "m": ["%m_"]}
    if axis == "cols":
        sizes["f"] = sizes["m"] = ["%n"]
    for buffer, type_text, strided, element in buffers:
        if not strided:
            arguments.append((buffer, type_text))
            continue
        dense = f"memref<?x{element}>"
        arguments.append((f"{buffer}_all", dense))
        strides = ["%s0", "%s1"] if buffer == "A" else ["%step"]
        if strided == STRIDED:
            strides[1] = "1"
        size = sizes.get(buffer, ["%n"] if axis == "rows" else ["%m_"])
        body += view(buffer, dense, size, strides, type_text)
    types = {buffer: type_text for buffer, type_text, *_ in buffers}
    program.add(
        name,
        arguments,
        [],
        body + f"  scaling.reduce along({axis}) stat(#scaling.{stat})"
        f" matrix(%A : {matrix}) factor(%f : {types['f']}) mask(%m : {types['m']})"
        f" outs({', '.join('%' + o for o in states)} :"
        f" {', '.join(types[o] for o in states)})\n  return",
    )


def name_of(*parts):
    return re.sub(r"\W+", "_", "_".join(str(p).replace("?", "x") for p in parts))


@pytest.fixture(scope="module", params=BITS)
def program(request, tmp_path_factory):
    program = VectorProgram(request.param)
    for stat, axis in itertools.product(PASSES, AXES):
        for shape in STATIC:
            # One statistic of each kind for the widths that are not the default.
            if request.param == 512 or stat in ("lse", "std"):
                add(program, name_of(stat, axis, *shape), stat, axis, shape, "", "")
        for layout, vector in ((STRIDED, ""), (SCATTERED, VECTOR), (STRIDED, VECTOR)):
            name = name_of(stat, axis, layout, vector)
            add(program, name, stat, axis, (None, None), layout, vector)
    program.compile(tmp_path_factory.mktemp("layouts"))
    return program


def spread(values, element, steps):
    """The values in every `steps`-th place of an array full of NaN, the last
    of them at the end of memory."""
    stored = store(values, element)
    shape = [(s - 1) * step + 1 if s else 0 for s, step in zip(stored.shape, steps)]
    whole = guarded(int(np.prod(shape)) * stored.itemsize)
    whole = whole.view(stored.dtype).reshape(shape)
    whole[...] = True if element == "i1" else np.nan
    part = whole[tuple(slice(None, None, step) for step in steps)]
    part[...] = stored
    return whole, part


def check(program, name, stat, axis, n, m, steps, step, strided):
    rng = np.random.default_rng(n + m)
    matrix = rng.normal(size=(n, m)).astype(np.float32)
    other, kept = (m, n) if axis == "rows" else (n, m)
    factor = rng.uniform(0.5, 2.0, other).astype(np.float32)
    mask = rng.uniform(size=other) < 0.7
    y = (matrix if axis == "rows" else matrix.T).astype(np.float64)
    y = y + factor if stat == "lse" else y * factor
    expected = states(stat, np.where(mask, y, np.nan))
    starts = [np.full(kept, identity(stat, i, "f32")) for i in range(PASSES[stat])]
    outs = [spread(start, "f32", [step]) for start in starts]
    whole = spread(matrix, "f32", steps)[0]
    arrays = [
        whole,
        spread(factor, "f32", [step])[0],
        spread(mask, "i1", [step])[0],
        *(whole for whole, _ in outs),
    ]
    if strided:
        strides = (steps[0] * whole.shape[1], steps[1])
        arrays = [n, m, *strides, step, whole.reshape(-1), *arrays[1:]]
    program.call_on(name, arrays)
    for index, ((whole, part), e) in enumerate(zip(outs, expected)):
        if stat == "lse" and index == 0:
            e = np.maximum(e, identity("lse", 0, "f32"))
        assert_close(part, e, TOLERANCE["f32"])
        if step > 1:
            whole = whole.copy()
            whole[::step] = np.nan
            assert np.isnan(whole).all()  # nothing between is written


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("stat", PASSES)
def test_static(program, stat, axis):
    for shape in STATIC:
        name = name_of(stat, axis, *shape)
        if name in program.functions:
            check(program, name, stat, axis, *shape, (1, 1), 1, False)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("stat", PASSES)
def test_strided(program, stat, axis):
    for n, m in ((1, 1), (9, 33), (17, 5), (30, 40)):
        for layout, vector, steps, step in (
            (STRIDED, "", (3, 1), 1),
            (SCATTERED, VECTOR, (2, 3), 2),
            (STRIDED, VECTOR, (2, 1), 3),
        ):
            name = name_of(stat, axis, layout, vector)
            check(program, name, stat, axis, n, m, steps, step, True)


@pytest.mark.parametrize("stat", PASSES)
def test_blocks_of_rows_add_up_to_the_whole(program, stat):
    """Whole blocks of eight rows one after the other: the same bits."""
    name = name_of(stat, "cols", STRIDED, "")
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(40, 23)).astype(np.float32)
    factor = rng.uniform(0.5, 2.0, 40).astype(np.float32)
    mask = rng.uniform(size=40) < 0.7

    def run(parts):
        outs = [
            np.full(23, identity(stat, i, "f32"), np.float32)
            for i in range(PASSES[stat])
        ]
        for part in parts:
            rows = matrix[part]
            sizes = [*rows.shape, 23, 1, 1]
            program.call_on(
                name, [*sizes, rows.reshape(-1), factor[part], mask[part], *outs]
            )
        return outs

    whole = run([slice(None)])
    for a, e in zip(run([slice(i, i + 8) for i in range(0, 40, 8)]), whole):
        np.testing.assert_array_equal(a, e)
