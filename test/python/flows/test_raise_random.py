"""Random programs of half-steps, and of what is almost one: with and without
--scaling-raise the results are the same."""

import os
import random
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from findtool import ROOT, find_tool

FULL = os.environ.get("SCALING_TEST_FULL", "0") == "1"
STEPS = (ROOT / "test/Dialect/Scaling/Inputs/half-steps.mlir").read_text()
TYPE = "tensor<4x6xf32>"
#: Programs in a function, which returns what each of them does.
PROGRAMS = 10


class Program:
    """Text that makes a matrix of %x (positive) and %w (of any sign)."""

    def __init__(self, rng, prefix):
        self.rng, self.prefix, self.lines = rng, prefix, []

    def write(self, text):
        name = f"%{self.prefix}_{len(self.lines)}"
        self.lines.append(f"  {name} = {text}")
        return name

    def call(self, function, x):
        return self.write(f"func.call @{function}({x}) : ({TYPE}) -> {TYPE}")

    def kernel_steps(self, x):
        kind = self.rng.choice(["divide", "guard", "divide", "guard", "mixed"])
        axis = self.rng.randrange(2)
        for _ in range(self.rng.randint(2, 5)):
            name = self.rng.choice(["divide", "guard"]) if kind == "mixed" else kind
            x = self.call(f"{name}_{('rows', 'cols')[axis]}", x)
            # Now and then the same axis again.
            if self.rng.random() < 0.85:
                axis = 1 - axis
        return x

    def log_steps(self, x):
        axis = self.rng.randrange(2)
        for _ in range(self.rng.randint(2, 5)):
            x = self.call(f"subtract_{('rows', 'cols')[axis]}", x)
            if self.rng.random() < 0.85:
                axis = 1 - axis
        return x

    def disturb(self, x):
        what = self.rng.randrange(4)
        if what == 0:
            return self.write(f"arith.addf {x}, %w : {TYPE}")
        if what == 1:
            return self.write(f"arith.mulf {x}, %x : {TYPE}")
        return self.write(f"arith.mulf {x}, %three : {TYPE}") if what == 2 else x

    def potentials(self):
        """Of rows and columns, now and then half of what they should be."""
        kinds = {
            "rows": ("tensor<4xf32>", "%zero4"),
            "cols": ("tensor<6xf32>", "%zero6"),
        }
        made = {axis: zero for axis, (_, zero) in kinds.items()}
        spread = lambda axis: self.write(
            f"func.call @spread_{axis}({made[axis]}) : ({kinds[axis][0]}) -> {TYPE}"
        )
        axis = self.rng.choice(["rows", "cols"])
        for _ in range(self.rng.randint(2, 5)):
            other = "cols" if axis == "rows" else "rows"
            shifted = self.write(f"arith.addf %w, {spread(other)} : {TYPE}")
            kind = kinds[axis][0]
            sums = self.write(f"func.call @lse_{axis}({shifted}) : ({TYPE}) -> {kind}")
            made[axis] = self.write(f"arith.negf {sums} : {kind}")
            if self.rng.random() < 0.1:
                made[axis] = self.write(f"arith.addf {made[axis]}, {sums} : {kind}")
            if self.rng.random() < 0.9:
                axis = other
        if self.rng.random() < 0.3:
            return spread(axis)
        return self.write(f"arith.mulf {spread('rows')}, {spread('cols')} : {TYPE}")

    def deviations(self, x):
        axis = self.rng.randrange(2)
        for _ in range(self.rng.randint(2, 4)):
            name, size = (("rows", 4), ("cols", 6))[axis]
            kind = f"tensor<{size}xf32>"
            factor = self.write(
                f"func.call @deviation_{name}({x}) : ({TYPE}) -> {kind}"
            )
            spread = self.write(
                f"func.call @spread_{name}({factor}) : ({kind}) -> {TYPE}"
            )
            x = self.write(f"arith.divf {x}, {spread} : {TYPE}")
            if self.rng.random() < 0.9:
                axis = 1 - axis
        return x

    def factors(self):
        """Scaling vectors of rows and columns, now and then disturbed ones."""
        kernel = "%x" if self.rng.random() < 0.5 else self.call("exp", "%w")
        sizes = {"rows": 4, "cols": 6}
        made = {axis: f"%one{size}" for axis, size in sizes.items()}
        targets = {axis: self.rng.choice(["one", "t"]) for axis in sizes}
        spread = lambda axis: self.write(
            f"func.call @spread_{axis}({made[axis]}) : "
            f"(tensor<{sizes[axis]}xf32>) -> {TYPE}"
        )
        guard = self.rng.choice([0, 0, 0, 1, 0.5])
        axis = self.rng.choice(["rows", "cols"])
        for _ in range(self.rng.randint(2, 5)):
            other, size = "cols" if axis == "rows" else "rows", sizes[axis]
            kind = f"tensor<{size}xf32>"
            scaled = self.write(f"arith.mulf {kernel}, {spread(other)} : {TYPE}")
            sums = self.write(f"func.call @sum_{axis}({scaled}) : ({TYPE}) -> {kind}")
            if self.rng.random() < guard:
                sums = self.write(f"arith.addf {sums}, %eps{size} : {kind}")
            if self.rng.random() < 0.1:
                sums = self.write(f"arith.mulf {sums}, {made[axis]} : {kind}")
            target = targets[axis] if self.rng.random() < 0.95 else "one"
            made[axis] = self.write(f"arith.divf %{target}{size}, {sums} : {kind}")
            if self.rng.random() < 0.9:
                axis = other
        if self.rng.random() < 0.3:
            return spread(axis)
        both = self.write(f"arith.mulf {spread('rows')}, {spread('cols')} : {TYPE}")
        if self.rng.random() < 0.5:
            return both
        return self.write(f"arith.mulf {both}, {kernel} : {TYPE}")

    def best(self):
        """The best of some rounds, as SINQ keeps it, or almost."""
        kinds = ["tensor<4xf32>", "tensor<6xf32>"]
        lr, lc, br, bc = "%zero4", "%zero6", "%zero4", "%zero6"
        pair = f"{kinds[0]}, {kinds[1]}"
        divided = lambda r, c: self.write(
            f"func.call @divided(%w, {r}, {c}) : ({TYPE}, {pair}) -> {TYPE}"
        )
        measure = lambda x: self.write(f"func.call @imbalance({x}) : ({TYPE}) -> f32")
        least = measure("%w")
        strict = self.rng.random() < 0.2
        for _ in range(self.rng.randint(2, 4)):
            both = self.write(
                f"func.call @round(%w, {lr}, {lc}) : ({TYPE}, {pair}) -> ({pair})"
            )
            self.lines[-1] = self.lines[-1].replace(" = ", ":2 = ", 1)
            lr = f"{both}#0" if self.rng.random() < 0.95 else lr
            lc = f"{both}#1"
            now = measure(divided(lr, lc))
            better = self.write(
                f"arith.cmpf {'olt' if strict else 'ole'}, {now}, {least} : f32"
            )
            br = self.write(f"arith.select {better}, {lr}, {br} : {kinds[0]}")
            bc = self.write(f"arith.select {better}, {lc}, {bc} : {kinds[1]}")
            least = self.write(f"arith.minimumf {now}, {least} : f32")
        if self.rng.random() < 0.3:
            r = self.write(f"math.exp {br} : {kinds[0]}")
            return self.write(f"func.call @spread_rows({r}) : ({kinds[0]}) -> {TYPE}")
        return divided(br, bc)

    def make(self):
        if self.rng.random() < 0.2:
            return self.potentials()
        if self.rng.random() < 0.2:
            return self.factors()
        if self.rng.random() < 0.1:
            return self.best()
        if self.rng.random() < 0.1:
            return self.deviations("%w")
        if self.rng.random() < 0.5:
            x = "%x"
            if self.rng.random() < 0.5:
                x = self.call("exp", "%w")
            x = self.kernel_steps(x)
            if self.rng.random() < 0.4:
                x = self.kernel_steps(self.write(f"arith.mulf {x}, %x : {TYPE}"))
            if self.rng.random() < 0.3:
                x = self.disturb(x)
            return x
        x = self.log_steps("%w")
        if self.rng.random() < 0.4:
            x = self.log_steps(self.disturb(x))
        if self.rng.random() < 0.3:
            x = self.disturb(x)
        return self.call("exp", x) if self.rng.random() < 0.6 else x


def write_module(seed):
    rng = random.Random(seed)
    lines, results = [], []
    for i in range(PROGRAMS):
        program = Program(rng, f"p{i}")
        results.append(program.make())
        lines += program.lines
    types = ", ".join([TYPE] * PROGRAMS)
    body = "\n".join(lines)
    return f"""{STEPS}
func.func @main(%x: {TYPE}, %w: {TYPE}) -> ({types}) {{
  %three = arith.constant dense<3.0> : {TYPE}
  %zero4 = arith.constant dense<0.0> : tensor<4xf32>
  %zero6 = arith.constant dense<0.0> : tensor<6xf32>
  %one4 = arith.constant dense<1.0> : tensor<4xf32>
  %one6 = arith.constant dense<1.0> : tensor<6xf32>
  %eps4 = arith.constant dense<1.0e-3> : tensor<4xf32>
  %eps6 = arith.constant dense<1.0e-3> : tensor<6xf32>
  %t4 = arith.constant dense<[0.1, 0.2, 0.3, 0.4]> : tensor<4xf32>
  %t6 = arith.constant dense<[0.3, 0.1, 0.2, 0.1, 0.1, 0.2]> : tensor<6xf32>
{body}
  return {", ".join(results)} : {types}
}}
"""


def optimize(text, *passes):
    done = subprocess.run(
        [find_tool("scaling-opt"), "-", "--inline", "--symbol-dce", *passes],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(folder: Path, text):
    (folder / "program.mlir").write_text(text)
    outputs = [folder / f"out{i}.npy" for i in range(PROGRAMS)]
    done = subprocess.run(
        [find_tool("scaling-run"), folder / "program.mlir", "--entry=main"]
        + [f"--input={folder}/{name}.npy" for name in "xw"]
        + [f"--output={path}" for path in outputs],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [np.load(path) for path in outputs]


@pytest.mark.parametrize("seed", range(40 if FULL else 4))
def test_the_same_results(tmp_path, seed):
    rng = np.random.default_rng(seed)
    np.save(tmp_path / "x.npy", rng.uniform(0.1, 2, (4, 6)).astype(np.float32))
    np.save(tmp_path / "w.npy", rng.normal(size=(4, 6)).astype(np.float32))
    text = write_module(seed)
    raised = optimize(text, "--scaling-raise")
    # Not for nothing: some of them hold an iteration.
    found = re.findall(r"scaling\.(?:project|sinkhorn|balance)", raised)
    assert found
    plain = run(tmp_path, optimize(text))
    for i, (got, want) in enumerate(zip(run(tmp_path, raised), plain, strict=True)):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6, err_msg=f"p{i}")
