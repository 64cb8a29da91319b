"""Programs that compute every case twice, as it is and transformed.

Printed as the parts of a split-file: `program.mlir`, whose function `check`
returns for each result how many entries differ, and schedules for the ops that
carry a `case`. Sizes are no multiples of the tiles; some cases have the lanes
of a batch innermost.
"""

import sys

HEADER = """func.func @check() -> ({types}) {{
  %c3 = arith.constant 3 : index
  %c5 = arith.constant 5 : index
  %c11 = arith.constant 11 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %ten = arith.constant 10.0 : f32
  %low = arith.constant -3.40282347E+38 : f32
  %half = arith.constant 0.5 : f32
  %shift = arith.constant -5.0 : f32
  %tolerance = arith.constant 1.0e-5 : f32
  %none = arith.constant 0 : i64
  %n0 = arith.constant 0 : index
  %n1 = arith.constant 1 : index
{body}
}}
"""
SCHEDULE = """module attributes {{transform.with_named_sequence}} {{
  transform.named_sequence @__transform_main(%m: !transform.any_op {{transform.readonly}}) {{
{body}
    transform.yield
  }}
}}
"""
ANY = "!transform.any_op"


def tensor(shape, element="f32"):
    return f"tensor<{''.join(f'{size}x' for size in shape)}{element}>"


class Program:
    def __init__(self):
        self.lines = []
        self.flags = []
        self.counter = 0

    def value(self):
        self.counter += 1
        return f"%v{self.counter}"

    def emit(self, text):
        self.lines.append("  " + text)

    def generic(self, inputs, out, maps, iterators, block, body):
        result = self.value()
        ins = ""
        if inputs:
            names, types = zip(*inputs)
            ins = f"ins({', '.join(names)} : {', '.join(types)}) "
        kinds = ", ".join(f'"{kind}"' for kind in iterators)
        self.emit(
            f"{result} = linalg.generic {{indexing_maps = [{', '.join(maps)}], "
            f"iterator_types = [{kinds}]}} {ins}outs({out[0]} : {out[1]}) {{"
        )
        self.emit(f"^bb0({block}):")
        for line in body:
            self.emit("  " + line)
        self.emit(f"}} -> {out[1]}")
        return result

    def data(self, shape, element="f32", shift="%half"):
        """A tensor of eleven different numbers (i1: mostly true) and its type."""
        type = tensor(shape, element)
        empty = self.value()
        self.emit(f"{empty} = tensor.empty() : {type}")
        body, total = [], "%c5"
        for dim, factor in zip(range(len(shape)), (7, 13, 5)):
            body += [
                f"%i{dim} = linalg.index {dim} : index",
                f"%f{dim} = arith.constant {factor} : index",
                f"%p{dim} = arith.muli %i{dim}, %f{dim} : index",
                f"%s{dim} = arith.addi {total}, %p{dim} : index",
            ]
            total = f"%s{dim}"
        body.append(f"%m = arith.remui {total}, %c11 : index")
        if element == "i1":
            body += ["%b = arith.cmpi ne, %m, %c3 : index", "linalg.yield %b : i1"]
        else:
            body += [
                "%w = arith.index_cast %m : index to i64",
                "%x = arith.sitofp %w : i64 to f32",
                f"%y = arith.addf %x, {shift} : f32",
                "%z = arith.divf %y, %ten : f32",
                "linalg.yield %z : f32",
            ]
        identity = self.identity(len(shape))
        parallel = ["parallel"] * len(shape)
        return (
            self.generic(
                [], (empty, type), [identity], parallel, f"%o: {element}", body
            ),
            type,
        )

    @staticmethod
    def identity(rank):
        dims = ", ".join(f"d{i}" for i in range(rank))
        return f"affine_map<({dims}) -> ({dims})>"

    def fill(self, shape, value="%zero", element="f32"):
        type = tensor(shape, element)
        empty, result = self.value(), self.value()
        self.emit(f"{empty} = tensor.empty() : {type}")
        self.emit(
            f"{result} = linalg.fill ins({value} : {element}) "
            f"outs({empty} : {type}) -> {type}"
        )
        return result, type

    def compare(self, a, b, type):
        *shape, element = type[len("tensor<") : -1].split("x")
        dims = ", ".join(f"d{i}" for i in range(len(shape)))
        identity = self.identity(len(shape))
        if element == "f32":
            body = [
                "%d = arith.subf %x, %y : f32",
                "%n = math.absf %d : f32",
                "%a = math.absf %x : f32",
                "%s = arith.addf %a, %one : f32",
                "%l = arith.mulf %s, %tolerance : f32",
                "%bad = arith.cmpf ugt, %n, %l : f32",
            ]
        else:
            body = [f"%bad = arith.cmpi ne, %x, %y : {element}"]
        body += [
            "%w = arith.extui %bad : i1 to i32",
            "%p = arith.addi %o, %w : i32",
            "linalg.yield %p : i32",
        ]
        start = self.value()
        self.emit(f"{start} = arith.constant dense<0> : tensor<i32>")
        count = self.generic(
            [(a, type), (b, type)],
            (start, "tensor<i32>"),
            [identity, identity, f"affine_map<({dims}) -> ()>"],
            ["reduction"] * len(shape),
            f"%x: {element}, %y: {element}, %o: i32",
            body,
        )
        self.flags.append(self.value())
        self.emit(f"{self.flags[-1]} = tensor.extract {count}[] : tensor<i32>")

    def compare_all(self, a, b, types):
        for index, type in enumerate(types):
            suffix = f"#{index}" if len(types) > 1 else ""
            self.compare(a + suffix, b + suffix, type)

    def case(self, number, text, types, attributes=(), arrow=True):
        names = []
        for case in (None, f"case = {number} : i32"):
            names.append(self.value())
            lead = names[-1] + (f":{len(types)}" if len(types) > 1 else "")
            listed = ", ".join([*attributes, *([case] if case else [])])
            dictionary = f" {{{listed}}}" if listed else ""
            result = f" -> {', '.join(types)}" if arrow else ""
            self.emit(f"{lead} = {text}{dictionary}{result}")
        self.compare_all(*names, types)

    def text(self):
        types = ", ".join(["i32"] * len(self.flags))
        self.emit(f"return {', '.join(self.flags)} : {types}")
        return HEADER.format(types=types, body="\n".join(self.lines))


def schedule(steps):
    body = []
    for number, (text, results) in steps.items():
        body.append(
            f"    %o{number} = transform.structured.match "
            f"attributes{{case = {number} : i32}} in %m : ({ANY}) -> {ANY}"
        )
        types = ", ".join([ANY] * results)
        body.append(
            f"    %r{number}:{results} = {text.format(op=f'%o{number}')} "
            f": ({ANY}) -> ({types})"
        )
    return SCHEDULE.format(body="\n".join(body))


LANES = ("dims = array<i64: 0, 1>",)


def reductions(p):
    """Cases 1 to 6."""
    kernel, kernel_t = p.data([37, 53])
    factor, factor_t = p.data([53])
    mask, mask_t = p.data([53], "i1")
    start, start_t = p.data([37])
    p.case(
        1,
        f"scaling.reduce along(rows) stat(#scaling.lse) matrix({kernel} : {kernel_t}) "
        f"factor({factor} : {factor_t}) mask({mask} : {mask_t}) "
        f"outs({start}, {start} : {start_t}, {start_t})",
        [start_t] * 2,
    )
    lanes, lanes_t = p.data([5, 7, 19])
    row, row_t = p.data([5, 19])
    zeros, zeros_t = p.fill([7, 19])
    p.case(
        2,
        f"scaling.reduce along(cols) stat(#scaling.std) matrix({lanes} : {lanes_t}) "
        f"factor({row} : {row_t}) outs({zeros}, {zeros}, {zeros} : "
        f"{zeros_t}, {zeros_t}, {zeros_t})",
        [zeros_t] * 3,
        LANES,
    )
    # The matrix leaves out the batch dimension.
    batched, batched_t = p.data([3, 53])
    states, states_t = p.fill([3, 37])
    p.case(
        3,
        f"scaling.reduce along(rows) stat(#scaling.geomean) matrix({kernel} : {kernel_t}) "
        f"factor({batched} : {batched_t}) outs({states}, {states} : {states_t}, {states_t})",
        [states_t] * 2,
    )
    cube, cube_t = p.data([2, 13, 11])
    weights, weights_t = p.data([13])
    values, values_t = p.data([11, 5])
    product, product_t = p.data([2, 13, 5])
    p.case(
        4,
        f"scaling.apply product domain(kernel) matrix({cube} : {cube_t}) "
        f"row({weights} : {weights_t}) operand({values} : {values_t}) "
        f"outs({product} : {product_t})",
        [product_t],
    )
    cost, cost_t = p.data([13, 11])
    scalars, scalars_t = p.fill([2])
    p.case(
        5,
        f"scaling.apply value domain(log) matrix({cube} : {cube_t}) "
        f"row({weights} : {weights_t}) operand({cost} : {cost_t}) "
        f"outs({scalars} : {scalars_t})",
        [scalars_t],
    )
    p.case(
        6,
        f"scaling.apply mass domain(kernel) matrix({cube} : {cube_t}) "
        f"outs({scalars} : {scalars_t})",
        [scalars_t],
    )
    return lanes, lanes_t, row, row_t, cube, cube_t


def dual(p, case, shape):
    """The dual value of positive factors."""
    kernel, kernel_t = p.data(shape)
    row, row_t = p.data(shape[1:2])
    col, col_t = p.data([shape[0], shape[2]])
    start, start_t = p.fill(shape[:1])
    p.case(
        case,
        f"scaling.apply dual domain(kernel) matrix({kernel} : {kernel_t}) "
        f"row({row} : {row_t}) col({col} : {col_t}) row_weight({row} : {row_t}) "
        f"col_weight({col} : {col_t}) outs({start} : {start_t})",
        [start_t],
    )


def tiling():
    p = Program()
    lanes, lanes_t, row, row_t, cube, cube_t = reductions(p)
    mask, mask_t = p.data([19], "i1")
    states, states_t = p.data([7, 19])
    empty, _ = p.fill([7, 19])
    p.case(
        7,
        "scaling.update rule(#scaling.rule<sum, omega = 1.5>) domain(kernel) "
        f"states({states} : {states_t}) own({states} : {states_t}) "
        f"mask({mask} : {mask_t}) outs({empty}, {empty} : {states_t}, {states_t})",
        [states_t] * 2,
        ("dim = 0 : i64",),
    )
    plan, _ = p.fill([5, 7, 19])
    p.case(
        8,
        f"scaling.plan domain(log) matrix({lanes} : {lanes_t}) row({row} : {row_t}) "
        f"col({states} : {states_t}) outs({plan} : {lanes_t})",
        [lanes_t],
        LANES,
    )
    best, best_t = p.fill([2, 13], "%low")
    where, where_t = p.fill([2, 13], "%none", "i64")
    p.case(
        9,
        f"scaling.apply argmax domain(kernel) matrix({cube} : {cube_t}) offset(%c5) "
        f"outs({best}, {where} : {best_t}, {where_t})",
        [best_t, where_t],
    )
    x, x_t = p.data([13, 3])
    y, y_t = p.data([2, 11, 3])
    out, _ = p.fill([2, 13, 11])
    p.case(
        10,
        f"scaling.pairwise euclidean points({x}, {y} : {x_t}, {y_t}) outs({out} : {cube_t})",
        [cube_t],
    )
    dual(p, 11, shape=(2, 13, 11))
    sizes = {
        1: [8, 16],
        2: [2, 3, 8],
        3: [2, 8, 16],
        4: [1, 4, 3, 2],
        5: [1, 4, 3],
        6: [0, 5, 0],
        7: [3, 8],
        8: [2, 3, 8],
        9: [1, 4, 3],
        10: [1, 4, 3],
        11: [1, 4, 3],
    }
    loops = {
        case: (
            f"transform.structured.tile_using_for {{op}} tile_sizes {tile}",
            1 + sum(size != 0 for size in tile),
        )
        for case, tile in sizes.items()
    }
    return {"program": p.text(), "for": schedule(loops)}


def partial():
    p = Program()
    reductions(p)
    # Tile sizes; the ops the transform returns: fills, tile, merges, loop.
    cases = {
        1: ([0, 16], 2 + 1 + 3 + 1),
        2: ([2, 0, 0], 3 + 1 + 3 + 1),
        3: ([0, 0, 16], 2 + 1 + 2 + 1),
        4: ([0, 0, 3, 0], 4),
        5: ([0, 4, 3], 4),
        6: ([0, 5, 0], 4),
    }
    dual(p, 7, shape=(2, 13, 11))
    parts = {"program": p.text()}
    for loop in ("for", "forall"):
        steps = {}
        for case, (tile, results) in cases.items():
            dims = [dim for dim, size in enumerate(tile) if size]
            steps[case] = (
                f"transform.structured.tile_reduction_using_{loop} {{op}} "
                f"reduction_dims = {dims} by tile_sizes = {tile}",
                results,
            )
        if loop == "forall":
            # Entry by entry a dual value has no partial results.
            steps[7] = (
                "transform.structured.tile_reduction_using_forall {op} "
                "reduction_dims = [1, 2] by tile_sizes = [0, 4, 3]",
                4,
            )
        parts[loop] = schedule(steps)
    return parts


def batch():
    p = Program()
    matrix, matrix_t = p.data([7, 5, 4])
    target, target_t = p.data([5])
    types = [
        tensor([7, 5]),
        tensor([7, 4]),
        tensor([7], "i32"),
        tensor([7]),
        tensor([7], "i32"),
    ]
    p.case(
        1,
        f"scaling.iterate matrix({matrix} : {matrix_t}) row_target({target} : {target_t}) "
        "rows(#scaling.rule<sum>) cols(#scaling.rule<sum, guard = add_plan(1.0e-3)>) "
        "order(rows_first) stop(#scaling.stop<until 1.0e-4, axis = cols, limit = 20>) "
        "numerics(#scaling.numerics<kernel>)",
        types,
        arrow=False,
    )
    logits, logits_t = p.data([3, 7, 4, 4])
    scalars = [tensor([3, 7], "i32"), tensor([3, 7]), tensor([3, 7], "i32")]
    p.case(
        2,
        f"scaling.project logits({logits} : {logits_t}) preset(mhc)",
        [logits_t, *scalars],
        arrow=False,
    )
    tile = "transform.structured.tile_using_{loop} {{op}} tile_sizes {sizes}"
    return {
        "program": p.text(),
        "for": schedule(
            {
                1: (tile.format(loop="for", sizes=[3]), 2),
                2: (tile.format(loop="for", sizes=[2, 4]), 3),
            }
        ),
        "forall": schedule(
            {
                1: (tile.format(loop="forall", sizes=[2]), 2),
                2: (tile.format(loop="forall", sizes=[0, 3]), 2),
            }
        ),
    }


def sweep_loop(p, case, log, matrix, matrix_t):
    """Six iterations on 37×53; the column reduction carries the case."""
    domain = "log" if log else "kernel"
    stat, start = ("lse", "%zero") if log else ("sum", "%one")
    row_target, rows = p.data([37])
    col_target, cols = p.data([53])
    row_start, _ = p.fill([37], start)
    col_start, _ = p.fill([53], start)
    result = p.value()
    u, v, r, s, c, t = (p.value() for _ in range(6))
    p.emit(
        f"{result}:2 = scf.for %k{result[1:]} = %n0 to %c5 step %n1 "
        f"iter_args({u} = {row_start}, {v} = {col_start}) -> ({rows}, {cols}) {{"
    )
    values = [("%low", "%zero") if log else ("%zero",)][0]
    row_states = [p.fill([37], value)[0] for value in values]
    count = len(values)
    dictionary = f" {{case = {case} : i32}}" if case else ""

    def names(value):
        return ", ".join(f"{value}#{i}" if count > 1 else value for i in range(count))

    def update(new, states, own, target, type):
        types = ", ".join([type] * count)
        p.emit(
            f"{new} = scaling.update rule(#scaling.rule<sum>) domain({domain}) "
            f"states({names(states)} : {types}) own({own} : {type}) "
            f"target({target} : {type}) outs({own} : {type}) -> {type}"
        )

    def reduce(new, axis, factor, factor_t, states, type, attributes):
        types = ", ".join([type] * count)
        lead = f"{new}:{count}" if count > 1 else new
        p.emit(
            f"{lead} = scaling.reduce along({axis}) stat(#scaling.{stat}) "
            f"matrix({matrix} : {matrix_t}) factor({factor} : {factor_t}) "
            f"outs({', '.join(states)} : {types}){attributes} -> {types}"
        )

    reduce(r, "rows", v, cols, row_states, rows, "")
    update(s, r, u, row_target, rows)
    col_states = [p.fill([53], value)[0] for value in values]
    reduce(c, "cols", s, rows, col_states, cols, dictionary)
    update(t, c, v, col_target, cols)
    p.emit(f"  scf.yield {s}, {t} : {rows}, {cols}")
    p.emit("}")
    return result, [rows, cols]


def sweep():
    p = Program()
    cost, cost_t = p.data([37, 53], shift="%shift")
    empty = p.value()
    p.emit(f"{empty} = tensor.empty() : {cost_t}")
    identity = p.identity(2)
    kernel = p.generic(
        [(cost, cost_t)],
        (empty, cost_t),
        [identity, identity],
        ["parallel", "parallel"],
        "%x: f32, %o: f32",
        ["%e = math.exp %x : f32", "linalg.yield %e : f32"],
    )
    for case, log, matrix in ((1, False, kernel), (2, True, cost)):
        plain, types = sweep_loop(p, None, log, matrix, cost_t)
        swept, _ = sweep_loop(p, case, log, matrix, cost_t)
        p.compare_all(plain, swept, types)
    parts = {"program": p.text()}
    for name, text in (
        ("block", "block(8)"),
        ("group", "block(4) group(16)"),
        ("recompute", "block(4) group(16) recompute"),
    ):
        step = (f"transform.scaling.tile_sweep {{op}} {text}", 2)
        parts[name] = schedule({1: step, 2: step})
    return parts


if __name__ == "__main__":
    for name, text in globals()[sys.argv[1]]().items():
        print(f"//--- {name}.mlir\n{text}")
