"""Ops made at random from their definitions, right and slightly wrong.

The operands and attributes of every op come from TableGen's dump of the .td
files, so that an operand that is added there is exercised here (the shape table
below must know it). An instance begins consistent: then none, one or two things
are changed: a size, a rank, an element type, two operands exchanged, an
attribute out of another mould.
"""

import functools
import json
import random
import subprocess
from dataclasses import dataclass

from findtool import ROOT, find_llvm

TD = ROOT / "include" / "scaling" / "Dialect" / "Scaling" / "IR" / "ScalingOps.td"
FLOATS = ["f32", "f64", "f16", "bf16"]

RULES = [
    "sum",
    "sum, target = uniform",
    "sum, guard = add_plan(1.0e-6)",
    "sum, guard = clamp_plan(1.0e-6), exponent = 0.5",
    "sum, guard = add_kernel(1.0e-6)",
    "sum, tau = 0.5, reference = product, omega = 1.5",
    "sum, limit = [0.1, 10.0, 1.0], step = [0.5, 2.0], clamp = [0.1, inf]",
]
OTHER_RULES = [
    "l1",
    "l2, exponent = 0.5",
    "linf, exponent = 0.5, limit = [1.0e-4, 1.0e4, 1.0]",
    "mean_square",
    "std, limit = [1.0e-3, 1.0e3]",
    "geomean, round = pow2",
]
WILD_RULES = [
    "sum, target = slack",
    "std, target = min_stat, limit = [1.0e-3, 1.0e3]",
    "sum, tau = 2.0",
    "linf, limit = [2.0, 1.0]",
    "#scaling.lse",
    "sum, round = pow2, guard = add_kernel(1.0e-6)",
]
STOPS = [
    "fixed 0",
    "fixed 1",
    "fixed 4",
    "fixed 5, measure = last, axis = rows, norm = linf",
    "until 1.0e-3, limit = 10",
    "until 1.0e-3, limit = 70, relax = none",
    "until 1.0e-3, what = change, axis = cols, norm = mean, every = 2, start = 2, limit = 8",
    "until 0.0, what = ratio, axis = rows, norm = l2, every = 4, limit = 8",
    "until 1.0e-3, what = relative_change, limit = 8",
    "best 4",
    "best 6, what = imbalance_sum, patience = first, last = false",
]
WILD_STOPS = [
    "fixed -1",
    "until 1.0e-3",
    "best 3",
    "fixed 9223372036854775807",
    "until inf, limit = 2",
]
FORMS = {
    "cost": [
        "",
        "epsilon = 0.05",
        "shift = row_max",
        "start = uniform",
        "normalize_total = 0.0",
    ],
    "logits": [
        "",
        "epsilon = 0.5, shift = col_max",
        "start = targets",
        "normalize_total = 1.0e-3",
    ],
    "kernel": ["", "start = uniform"],
}
PROJECT_FORMS = {
    "cost": ["standardize, epsilon = 0.1", "output = log_plan, scale = rows"],
    "logits": [
        "map = softmax_rows, entry_eps = 1.0e-6",
        "map = sigmoid",
        "scale = rows_plus_cols",
    ],
    "kernel": ["entry_eps = 1.0e-6", "scale = cols"],
}
WILD_FORMS = [
    "epsilon = -1.0",
    "extrapolate",
    "anneal = [1.0, 0.5]",
    "map = identity",
    "map = exp",
]
METRICS = ["sqeuclidean", "euclidean", "l1", "dot", "cosine"]
STATISTICS = {
    "sum": 1,
    "lse": 2,
    "l1": 1,
    "l2": 1,
    "linf": 1,
    "mean_square": 2,
    "std": 3,
    "geomean": 2,
}


@dataclass
class OpDefinition:
    name: str
    operands: list  # (name, kind): kind is one, optional or many
    attributes: list


@functools.cache
def definitions():
    tblgen = find_llvm("llvm-tblgen")
    include = str(ROOT / "include")
    upstream = subprocess.run(
        [find_llvm("llvm-config"), "--includedir"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    dump = json.loads(
        subprocess.run(
            [tblgen, "--dump-json", "-I", include, "-I", upstream, str(TD)],
            capture_output=True,
            check=True,
        ).stdout
    )
    instances = dump["!instanceof"]
    attributes = set(instances["Attr"])
    optional, variadic = set(instances["Optional"]), set(instances["Variadic"])
    ops = {}
    for record in instances["Op"]:
        op = dump[record]
        if op["opDialect"]["def"] != "Scaling_Dialect":
            continue
        operands, attrs = [], []
        for value, name in op["arguments"]["args"]:
            kind = value["def"]
            if kind in attributes:
                attrs.append(name)
            else:
                operands.append(
                    (
                        name,
                        (
                            "optional"
                            if kind in optional
                            else "many" if kind in variadic else "one"
                        ),
                    )
                )
        ops[op["opName"]] = OpDefinition(op["opName"], operands, attrs)
    return ops


#: Dimensions behind the batch, and what the elements are: the matrix' type, the
#: type of factors, a mask, or an index.
TABLE = {
    "matrix": ("nm", "storage"),
    "query": ("nd", "storage"),
    "key": ("md", "storage"),
    "value": ("mw", "storage"),
    "bias": ("nm", "storage"),
    "x": ("nd", "storage"),
    "y": ("md", "storage"),
    "slack": ("", "storage"),
    "epsilon": ("", "factor"),
    "row_mask": ("n", "mask"),
    "col_mask": ("m", "mask"),
    "anneal": ("k", "factor"),
    "offset": (None, "index"),
    "row_offset": (None, "index"),
    "scale": (None, "factor"),
    **{
        f"{axis}_{role}": ("n" if axis == "row" else "m", "factor")
        for axis in ("row", "col")
        for role in ("marginal", "init", "target", "start", "weight")
    },
    "row": ("n", "factor"),
    "col": ("m", "factor"),
    "omega": ("", "factor"),
}
#: Ops with destinations.
STRUCTURED = (
    "reduce", "update", "plan", "apply", "marginals", "pairwise", "to_lanes",
    "from_lanes", "reduce_points", "sum_points", "argmax_points",
    "apply_points",
)  # fmt: skip


class Maker:
    """One random op after another."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        #: Of instances in the place of others, which leave the rest as it is.
        self.instead = random.Random(seed + 1)

    def chance(self, probability):
        return self.random.random() < probability

    def pick(self, *pools):
        return self.random.choice([item for pool in pools for item in pool])

    def begin(self):
        """Sizes and types of an instance."""
        self.sizes = {c: self.random.choice([1, 3, 4, 8, 17]) for c in "nmdw"}
        self.sizes["k"] = 2
        self.dynamic = {c for c in "nmdwk" if self.chance(0.3)}
        self.batch = [
            self.random.choice([1, 2, 5, None])
            for _ in range(self.random.choice([0, 0, 1, 2]))
        ]
        self.storage = self.pick(FLOATS)
        self.factor = "f64" if self.storage == "f64" or self.chance(0.1) else "f32"
        self.wrong = self.random.choice([0, 0, 0, 1, 1, 2])

    def shape(self, tail, batch=None):
        whole = self.batch if batch is None else batch
        return [*whole, *(None if c in self.dynamic else self.sizes[c] for c in tail)]

    @staticmethod
    def type_text(shape, element, memref=False):
        if shape is None:
            return element
        sizes = "".join(f"{'?' if s is None else s}x" for s in shape)
        return f"{'memref' if memref else 'tensor'}<{sizes}{element}>"

    def element(self, kind):
        return {
            "storage": self.storage,
            "factor": self.factor,
            "mask": "i1",
            "index": "index",
        }[kind]

    def spoil(self, operands):
        """Changes one thing about the operands [name, shape, element]."""
        way = self.random.choice(["size", "rank", "element", "swap", "batch"])
        victim = self.random.choice(operands)
        shape = victim[1]
        if way == "swap" and len(operands) > 1:
            other = self.random.choice(operands)
            victim[1:], other[1:] = other[1:], victim[1:]
        elif way == "element" or not shape:
            victim[2] = self.pick(FLOATS, ["i32", "i1", "index"])
        elif way == "size":
            at = self.random.randrange(len(shape))
            shape[at] = self.random.choice([0, 1, 2, 9, None])
        elif way == "rank":
            del shape[self.random.randrange(len(shape))]
        else:
            shape.insert(0, self.random.choice([1, 2, None]))

    def function(self, operands, body, memref=False):
        arguments = ", ".join(
            f"%{name}: {self.type_text(shape, element, memref)}"
            for name, shape, element in operands
        )
        return f"func.func @f({arguments}) {{\n  {body}\n  return\n}}"

    # Ops on whole problems: keywords, types inferred.

    def rule(self, log, wild):
        if wild:
            return self.pick(WILD_RULES, OTHER_RULES)
        return (
            self.pick(RULES)
            if log or self.chance(0.5)
            else self.pick(RULES, OTHER_RULES)
        )

    def problem(self, op):
        text = self.any_problem(op)
        if "order" not in op.attributes or self.instead.random() > 0.2:
            return text
        variant = self.instead.choice(["symmetric", "accelerated", "annealed"])
        own, self.random = self.random, random.Random(self.instead.random())
        text = self.any_problem(op, variant)
        self.random = own
        return text

    def any_problem(self, op, variant=None):
        symmetric = variant == "symmetric"
        self.begin()
        if symmetric:
            self.sizes["m"] = self.sizes["n"]
        wild = (
            self.random.choice(["form", "rows", "cols", "stop", "order"])
            if self.wrong > 1
            else None
        )
        log = (
            "form" in op.attributes
            and self.chance(0.5)
            or op.name == "iterate"
            and self.chance(0.4)
        )
        domain = self.pick(["log", "absorb"]) if log else "kernel"
        operands = []
        for name, kind in op.operands:
            if symmetric and name.startswith("col_") and wild != "order":
                continue
            if kind == "optional" and not self.chance(0.3 if name != "anneal" else 0.1):
                continue
            tail, element = TABLE[name] if name in TABLE else (None, None)
            if op.name == "similarity_balance":
                tail = "nn"
            if op.name == "normalize" and name in ("target", "mask"):
                continue  # Given with the axis, below.
            if (
                name == "slack"
                and op.name in ("sinkhorn", "project")
                and not self.chance(0.3)
            ):
                continue
            # A suffix of the batch, whose sizes broadcast.
            batch = (
                self.batch[self.random.randint(0, len(self.batch)) :]
                if kind != "one" or self.chance(0.3)
                else self.batch
            )
            if name == "anneal":
                batch = []
            operands.append([name, self.shape(tail, batch), self.element(element)])
        names = [name for name, _, _ in operands]
        if "slack" in names:
            for name, shape, _ in operands:
                if (
                    name.split("_")[-1] in ("marginal", "init", "mask")
                    and shape
                    and shape[-1]
                ):
                    shape[-1] += 1
        attributes = []
        source = (
            "logits"
            if op.name == "attention"
            else self.pick(["cost", "logits"] if log else list(FORMS))
        )
        if "form" in op.attributes:
            pools = [FORMS[source]]
            if op.name in ("project", "normalize"):
                pools.append(PROJECT_FORMS[source] if not log else [])
            if wild == "form":
                pools = [WILD_FORMS]
            fields = self.pick(*pools)
            if op.name == "normalize" and "start" in fields:
                fields = ""
            if variant == "annealed" and wild != "form":
                fields = "epsilon = 0.2, anneal = geometric(1.0, 0.5)"
            attributes.append(
                f"form(#scaling.form<{source}{', ' + fields if fields else ''}>)"
            )
        for name in ("rows", "cols", "rule"):
            if name in op.attributes:
                rule = self.rule(log, wild == name)
                if variant == "accelerated" and wild != name:
                    rule = "sum"
                if op.name == "iterate" and wild != name:
                    rule = rule.replace(", target = uniform", "")
                if symmetric and name == "cols" and wild != "order":
                    attributes.append(attributes[-1].replace("rows", "cols", 1))
                    continue
                attributes.append(f"{name}(#scaling.rule<{rule}>)")
        stop = self.pick(WILD_STOPS if wild == "stop" else STOPS)
        if variant == "accelerated" and wild != "stop":
            stop = f"until 1.0e-3, limit = 30, relax = anderson({self.pick('123')})"
        if variant == "annealed" and wild != "stop":
            stop = "until 1.0e-3, limit = 10"
        if "anneal" in names and wild != "stop":
            stop = "fixed 4"
        if "order" in op.attributes:
            order = self.pick(["rows_first", "cols_first", "jacobi"])
            if symmetric:
                order = "symmetric"
            if (
                order == "jacobi"
                and wild != "order"
                and not stop.startswith(("best", "until"))
            ):
                stop = "fixed 4"
            attributes.append(f"order({order})")
        if "stop" in op.attributes:
            attributes.append(f"stop(#scaling.stop<{stop}>)")
        if "numerics" in op.attributes:
            more = (
                f", accumulate = {self.factor}"
                if self.factor != "f32" or self.chance(0.1)
                else ""
            )
            attributes.append(f"numerics(#scaling.numerics<{domain}{more}>)")
        if "limit" in op.attributes:
            attributes.append(f"limit({self.pick(['0', '1', '7', '100'])})")
            for operand in operands:
                operand[2] = self.pick(["f32", "f64"])
        if "axis" in op.attributes:
            rows = self.chance(0.5)
            attributes.append(f"along({'rows' if rows else 'cols'})")
            if self.chance(0.3):
                operands.append(
                    ["target", self.shape("n" if rows else "m", []), self.factor]
                )
            if self.chance(0.3):
                operands.append(["mask", self.shape("m" if rows else "n", []), "i1"])
        if self.wrong:
            self.spoil(operands)
        keyword = lambda name: (
            source if name == "matrix" and "form" in op.attributes else name
        )
        words = [
            f"{keyword(name)}(%{name} : {self.type_text(shape, element)})"
            for name, shape, element in operands
        ]
        words += attributes
        self.random.shuffle(words)
        results = {
            "normalize": 1,
            "project": 4,
            "attention": 4,
            "similarity_balance": 4,
        }.get(op.name, 5)
        body = f"%r{f':{results}' if results > 1 else ''} = scaling.{op.name} {' '.join(words)}"
        return self.function(operands, body)

    # Structured core ops: the generic form, result types those of the outs.

    def structured(self, op):
        self.begin()
        memref = self.chance(0.3)
        domain = self.random.choice([0, 0, 1, 2])
        axis = self.random.choice([0, 1])
        attributes, counts = {}, {}
        own, other = ("n", "m") if axis == 0 else ("m", "n")
        tails = dict(TABLE)
        if op.name == "reduce":
            stat = self.pick(list(STATISTICS))
            attributes = {"axis": f"{axis} : i32", "stat": f"#scaling.{stat}"}
            tails |= {
                "factor": (other, "factor"),
                "mask": (other, "mask"),
                "outs": (own, "factor"),
            }
            counts["outs"] = STATISTICS[stat]
        elif op.name == "update":
            rule = self.pick(RULES, OTHER_RULES if domain == 0 else [])
            stat = "lse" if domain else rule.split(",")[0]
            attributes = {"rule": f"#scaling.rule<{rule}>", "domain": f"{domain} : i32"}
            tails |= {n: ("n", "factor") for n in ("states", "own", "target", "outs")}
            tails["mask"] = ("n", "mask")
            counts = {"states": STATISTICS[stat], "outs": self.random.choice([1, 2])}
            if self.chance(0.1):
                attributes["dim"] = f"{self.pick([0, 1, -1, 5])} : i64"
        elif op.name == "plan":
            attributes = {"domain": f"{domain} : i32"}
            tails["outs"] = ("nm", "storage")
            if self.chance(0.2):
                attributes["logarithm"] = "unit"
        elif op.name == "apply":
            kind = self.random.randrange(5)
            attributes = {"kind": f"{kind} : i32", "domain": f"{domain} : i32"}
            transposed = kind == 0 and self.chance(0.4) or self.chance(0.05)
            if transposed:
                attributes["transposed"] = "unit"
            read, kept = ("n", "m") if transposed else ("m", "n")
            tails |= {
                "operand": (read + "w" if kind == 0 else "nm", "storage"),
                "outs": ((kept + "w", "", "", "n", "")[kind], "factor"),
            }
            counts["outs"] = 2 if kind == 3 else 1
        elif op.name == "pairwise":
            attributes = {"metric": f"{self.random.randrange(5)} : i32"}
            tails["outs"] = ("nm", "storage")
        elif op.name == "marginals":
            points = self.chance(0.5)
            if points:
                attributes["metric"] = f"{self.random.randrange(5)} : i32"
            if self.chance(0.3):
                attributes["largest"] = "unit"
            # Rows, then columns.
            tails |= {"y": ("dm", "storage"), "outs": ("n", "factor")}
            counts["outs"] = 2
        elif op.name.endswith("_points"):
            metric = self.pick(range(5 if self.wrong else 4))
            attributes["metric"] = f"{metric} : i32"
            if not self.chance(0.05):
                self.storage = self.factor = self.pick(["f32", "f64"])
            tails |= {"y": ("md", "storage"), "factor": ("m", "factor")}
            tails["operand"] = ("mw", "storage")
            biased = self.chance(0.4)
            if biased and self.chance(0.5):
                attributes["transposed"] = "unit"
            tails["bias"] = ("mn" if "transposed" in attributes else "nm", "storage")
            tails["bias_scale"] = tails["scale"]
            tails |= {k: ("n", "factor") for k in ("row_factor", "x_cost")}
            tails["y_cost"] = ("m", "factor")
            tails["outs"] = ("nw" if op.name == "apply_points" else "n", "factor")
            counts["outs"] = 1 if op.name == "apply_points" else 2
            # Columns as well, of every row by itself.
            blocked = op.name == "reduce_points" and self.chance(0.3)
            if blocked:
                attributes["block"] = (
                    f"{self.pick([1], [0] if self.wrong else [])} : i64"
                )
                counts["outs"] = 4
        elif op.name in ("to_lanes", "from_lanes"):
            # Static but for the batch, which is all there is in front.
            self.batch, self.dynamic = [], self.dynamic & {"k"}
            lanes = ("nmw", "storage")
            tails |= {"source": ("knm", "storage"), "outs": lanes}
            if op.name == "from_lanes":
                tails |= {"source": lanes, "outs": ("knm", "storage")}
        if op.name in ("reduce", "plan") and self.chance(0.15):
            attributes["dims"] = self.pick(
                [
                    "array<i64: 0, 1>",
                    "array<i64: 1, 0>",
                    "array<i64: 0, 0>",
                    "array<i64: 7>",
                ]
            )

        operands, groups, segments = [], [], []
        for name, kind in op.operands:
            present = kind != "optional" or self.chance(0.4)
            if op.name == "apply" and name == "operand":
                present = kind_needs_operand(attributes["kind"]) ^ self.chance(0.05)
            if attributes.get("kind", "").startswith("4") and name in DUAL_OPERANDS:
                present = not self.chance(0.05)
            if op.name == "apply" and name.endswith("offset"):
                kinds = ("3", "4") if name == "offset" else ("4",)
                present = present and attributes["kind"].startswith(kinds)
            if name == "bias":
                present = biased ^ self.chance(0.05)
            elif name == "bias_scale":
                present = present and biased
            elif name == "row_factor":
                present = present and blocked
            if op.name == "marginals" and name in ("matrix", "x", "y"):
                present = (points ^ (name == "matrix")) ^ self.chance(0.05)
            count = counts.get(name, 1) if present else 0
            if count and self.wrong and self.chance(0.05):
                count += 1
            segments.append(count)
            for i in range(count):
                tail, element = tails[name]
                if op.name == "marginals" and name == "outs":
                    tail = "nm"[i % 2]
                elif op.name == "reduce_points" and name == "outs" and i > 1:
                    tail = "nm"
                shape = None if tail is None else self.shape(tail)
                if shape and name not in ("outs", "own", "states") and self.chance(0.2):
                    shape = shape[len(self.batch) :]
                text = self.element(element)
                if name == "outs" and op.name in ("apply", "argmax_points") and i == 1:
                    text = "i64"
                operands.append([f"{name}{i}", shape, text])
                groups.append(name)
        if self.wrong:
            self.spoil(operands)
        types = [
            self.type_text(shape, element, memref) for _, shape, element in operands
        ]
        outs = [t for t, g in zip(types, groups) if g == "outs" and not memref]
        if any(n != 1 for n in segments) or op.name not in (
            "pairwise", "to_lanes", "from_lanes",
        ):  # fmt: skip
            attributes["operandSegmentSizes"] = (
                f"array<i32: {', '.join(map(str, segments))}>"
            )
        properties = ", ".join(f"{k} = {v}" for k, v in attributes.items())
        body = (
            (f"%r{f':{len(outs)}' if len(outs) > 1 else ''} = " if outs else "")
            + f'"scaling.{op.name}"({", ".join("%" + name for name, _, _ in operands)})'
            + (f" <{{{properties}}}>" if properties else "")
            + f" : ({', '.join(types)}) -> ({', '.join(outs)})"
        )
        return self.function(operands, body, memref)

    def make(self, op):
        structured = op.name in STRUCTURED
        return self.structured(op) if structured else self.problem(op)


#: What `apply` of the kind `dual` cannot be without.
DUAL_OPERANDS = ("row", "col", "row_weight", "col_weight")


def kind_needs_operand(kind):
    return kind[0] in "01"
