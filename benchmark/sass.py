"""Instructions of the machine: what `ptxas` made of a kernel, and how often it
is executed.

`nvdisasm` writes a cubin as text. A loop is what lies between a branch and an
earlier target of it, as compilers lay them out.

How often an instruction is executed comes from the emulator, without a GPU.
LLVM IR is marked with a line of its own for every instruction (`opt
-passes=debugify`; the code that comes out is the same, and a test says so).
The emulator reports how often threads came to each line, and `nvdisasm` from
which line every instruction comes. `ptxas` unrolls loops and leaves the rest to
copies: the innermost loop with the most copies of a line is the one that runs,
and each of them does as often as the line divided by their number.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

LLVM = Path("/usr/lib/llvm-22/bin")

#: One of them in the IR is, as a rule, one in the machine's code.
FAITHFUL = re.compile(
    r"(LD[GS]?|ST[GS]?|LDSM|LDGSTS|MUFU|HMMA|SHFL|RED|ATOM[GS]?|FADD|FMUL|FFMA)\b"
)


def find_nvdisasm():
    """Of the Python package, of Triton's, or the machine's own."""
    named = os.environ.get("SCALING_NVDISASM")
    if named:
        return named
    for folder in map(Path, sys.path):
        for place in ("nvidia/cu13/bin", "triton/backends/nvidia/bin"):
            found = folder / place / "nvdisasm"
            if found.exists():
                return str(found)
    return shutil.which("nvdisasm")


@dataclass
class Instruction:
    """`opcode` without modifiers, `text` without the predicate."""

    opcode: str
    text: str
    predicated: bool
    line: int
    target: str = ""


@dataclass
class Loop:
    first: int
    last: int

    def __contains__(self, index):
        return self.first <= index <= self.last

    def __len__(self):
        return self.last - self.first + 1


class Kernel:
    """The instructions of one kernel, its basic blocks and its loops."""

    def __init__(self, lines):
        self.code, labels, line = [], {}, 0
        for text in lines:
            if found := re.match(r"(\.L_x_\d+):", text):
                labels[found[1]] = len(self.code)
            elif found := re.search(r'//## File ".*", line (\d+)', text):
                line = int(found[1])
            elif found := re.search(r"/\*[0-9a-f]+\*/\s+(@\S+ )?\s*(\S.*?)\s*;", text):
                target = re.search(r"\((\.L_x_\d+)\)", found[2])
                opcode = found[2].split()[0].split(".")[0]
                self.code.append(
                    Instruction(
                        opcode,
                        found[2],
                        bool(found[1]),
                        line,
                        target[1] if target else "",
                    )
                )
        starts, loops = {0, *labels.values()}, {}
        for i, instruction in enumerate(self.code):
            if instruction.opcode in ("BRA", "EXIT", "RET", "BRX", "CALL"):
                starts.add(i + 1)
            if instruction.opcode == "BRA" and instruction.target in labels:
                first = labels[instruction.target]
                # A branch to itself is the end of the code.
                if first < i:
                    loops[first] = max(i, loops.get(first, 0))
        self.loops = sorted((Loop(*pair) for pair in loops.items()), key=len)
        order = sorted(start for start in starts if start < len(self.code))
        self.blocks = [
            range(*pair) for pair in zip(order, order[1:] + [len(self.code)])
        ]

    def innermost(self, index):
        return next((loop for loop in self.loops if index in loop), None)

    def own(self, loop):
        """What is in the loop and not in a loop inside it."""
        return [
            i for i in range(loop.first, loop.last + 1) if self.innermost(i) is loop
        ]

    def mix(self, loop):
        return Counter(self.code[i].opcode for i in self.own(loop))


def disassemble(cubin):
    """The kernels of a cubin, by name."""
    with tempfile.TemporaryDirectory(prefix="scaling-sass-") as folder:
        path = Path(folder) / "kernels.cubin"
        path.write_bytes(cubin)
        done = subprocess.run(
            [find_nvdisasm(), "-c", "-g", path], capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr[-2000:]
    kernels = {}
    for part in re.split(r"^\.text\.", done.stdout, flags=re.M)[1:]:
        name, _, rest = part.partition(":")
        kernels[name] = Kernel(re.split(r"^//---", rest, flags=re.M)[0].splitlines())
    return kernels


def mark_lines(code):
    """LLVM IR with a line for each instruction."""
    marked = subprocess.run(
        [LLVM / "opt", "-passes=debugify", "-S", "-"],
        input=code, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    # Lines alone: otherwise the back end asks for code to be debugged.
    return marked.replace(
        "emissionKind: FullDebug", "emissionKind: DebugDirectivesOnly"
    )


def assemble(ptx, chip, ptxas, lines=True):
    """The cubin of PTX."""
    with tempfile.TemporaryDirectory(prefix="scaling-sass-") as folder:
        source, target = Path(folder) / "kernels.ptx", Path(folder) / "kernels.cubin"
        source.write_text(ptx)
        subprocess.run(
            [ptxas, *(["-lineinfo"] if lines else []), f"-arch={chip}", source,
             "-o", target],
            check=True, capture_output=True,
        )  # fmt: skip
        return target.read_bytes()


def back_end(code, chip, version):
    """PTX of LLVM IR, as the compiler makes it."""
    return subprocess.run(
        [LLVM / "llc", "-O3", f"-mcpu={chip}", f"-mattr=+ptx{version}"],
        input=code, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


def executions(kernel, counts):
    """How often threads come to each instruction: `counts` has that of the
    lines. A block of the machine's code is executed as often as most of what is
    in it is."""
    code = kernel.code
    # Division and powers are several instructions of one line; only one of
    # them is certain.
    expanded = {i.line for i in code if i.opcode == "MUFU"}
    faithful = [
        bool(FAITHFUL.match(i.opcode))
        and (i.line not in expanded or i.opcode == "MUFU")
        and i.line in counts
        for i in code
    ]
    loops = [kernel.innermost(i) for i in range(len(code))]
    copies = Counter(
        (id(loop), i.line, i.opcode) for loop, i, is_one in zip(loops, code, faithful)
        if is_one
    )  # fmt: skip
    # Where each of them runs: in the innermost loop; what that leaves is
    # outside, or in another one with fewer copies.
    depth = {
        id(loop): sum(loop.first in l for l in kernel.loops) for loop in loops if loop
    }
    home = {}
    for (loop, *what), number in copies.items():
        rank = (depth.get(loop, 0), number, loop)
        home[tuple(what)] = max(rank, home.get(tuple(what), rank))
    home = {what: loop for what, (_, _, loop) in home.items()}
    result = [0.0] * len(code)
    for block in kernel.blocks:
        votes = Counter()
        for i in block:
            line, place = code[i].line, id(loops[i])
            what = (line, code[i].opcode)
            if faithful[i]:
                number = copies[(place, *what)]
                votes[counts[line] / number if home[what] == place else 0.0] += 1
        if not votes:
            # Whole numbers and branches.
            votes.update(counts[code[i].line] for i in block if code[i].line in counts)
            trips = min(votes, default=0.0)
        else:
            trips = max(votes, key=lambda n: (votes[n], -n))
        for i in block:
            result[i] = trips
    return result
