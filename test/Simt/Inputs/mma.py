"""mma.sync: writes a kernel and fragments, or checks what came out.

    mma.py write PREFIX INTRINSIC     PREFIX.ll, PREFIX.npy
    mma.py check PREFIX INTRINSIC     PREFIX.out.npy

The layouts of the fragments are spelled as the PTX ISA has them, shape by
shape, which is not how the emulator computes them.
"""

import random
import struct
import sys

mode, prefix, name = sys.argv[1:4]
words = name.split(".")
shape = words[0]
m, rest = shape[1:].split("n")
n, k = rest.split("k")
m, n, k = int(m), int(n), int(k)
kind = words[3]
if len(words) == 5 and kind in ("f16", "f32"):
    result, kind = kind, "f16"
else:
    result = {"f64": "f64", "s8": "i32", "u8": "i32"}.get(kind, "f32")


# (row, column) of element i of lane's fragment.
def place_a(lane, i):
    group, quad = lane >> 2, lane % 4
    if kind in ("f16", "bf16") and k == 16:
        row = group if i < 2 or 4 <= i < 6 else group + 8
        return row, quad * 2 + (i & 1) + (8 if i >= 4 else 0)
    if kind in ("f16", "bf16"):
        return group + (8 if i >= 2 else 0), quad * 2 + (i & 1)
    if kind in ("tf32", "f64") and m == 16:
        return group + (8 if i % 2 else 0), quad + 4 * (i // 2)
    if kind == "f64":
        return group, quad
    if k == 16:
        return group + (8 if i >= 4 else 0), quad * 4 + (i & 3)
    row = group if i < 4 or 8 <= i < 12 else group + 8
    return row, quad * 4 + (i & 3) + (16 if i >= 8 else 0)


def place_b(lane, i):
    group, quad = lane >> 2, lane % 4
    if kind in ("f16", "bf16"):
        return quad * 2 + (i & 1) + (8 if i >= 2 else 0), group
    if kind in ("tf32", "f64"):
        return quad + 4 * i, group
    return quad * 4 + (i & 3) + (16 if i >= 4 else 0), group


def place_c(lane, i):
    group, quad = lane >> 2, lane % 4
    return group + (8 if i >= 2 else 0), quad * 2 + (i & 1)


num_a, num_b, num_c = m * k // 32, k * n // 32, m * n // 32
random.seed(3)
# Small integers: every sum is exact in every type.
low, high = (0, 9) if kind == "u8" else (-4, 4)
A = [[random.randint(low, high) for _ in range(k)] for _ in range(m)]
B = [[random.randint(low, high) for _ in range(n)] for _ in range(k)]
C = [[random.randint(-4, 4) for _ in range(n)] for _ in range(m)]


def pack(values, kind):
    """Registers, as integers of eight bytes."""
    code, per = {
        "f16": ("e", 2),
        "bf16": ("f", 1),
        "tf32": ("f", 1),
        "f32": ("f", 1),
        "f64": ("d", 1),
        "s8": ("b", 4),
        "u8": ("B", 4),
        "i32": ("i", 1),
    }[kind]
    if kind == "bf16":
        halves = [struct.pack("<f", value)[2:] for value in values]
        chunks = [b"".join(halves[i : i + 2]) for i in range(0, len(halves), 2)]
    else:
        chunks = [
            struct.pack(f"<{per}{code}", *values[i : i + per])
            for i in range(0, len(values), per)
        ]
    return [int.from_bytes(chunk, "little") for chunk in chunks]


slots = []
for lane in range(32):
    at = lambda matrix, place: matrix[place[0]][place[1]]
    regs_a = pack([at(A, place_a(lane, i)) for i in range(num_a)], kind)
    regs_b = pack([at(B, place_b(lane, i)) for i in range(num_b)], kind)
    regs_c = pack([at(C, place_c(lane, i)) for i in range(num_c)], result)
    slots.append(regs_a + regs_b + regs_c)
count = len(slots[0])

if mode == "write":
    word = {"f16": "<2 x half>", "f64": "double", "bf16": "i32"}.get(kind, "i32")
    acc = {"f16": "<2 x half>", "f64": "double", "f32": "float"}.get(result, "i32")
    # k = 8 of bf16 and everything else has its registers in i32.
    types = [word] * (len(regs_a) + len(regs_b)) + [acc] * len(regs_c)
    struct_type = "{ " + ", ".join([acc] * len(regs_c)) + " }"
    lines = [
        "define ptx_kernel void @mma(ptr %in, ptr %out) {",
        "  %lane = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()",
    ]
    for i, ty in enumerate(types):
        lines += [
            f"  %i{i} = mul i32 %lane, {count}",
            f"  %j{i} = add i32 %i{i}, {i}",
            f"  %p{i} = getelementptr i64, ptr %in, i32 %j{i}",
            f"  %v{i} = load {ty}, ptr %p{i}",
        ]
    args = ", ".join(f"{ty} %v{i}" for i, ty in enumerate(types))
    intrinsic = f"@llvm.nvvm.mma.{name}"
    lines.append(f"  %d = call {struct_type} {intrinsic}({args})")
    for i in range(len(regs_c)):
        lines += [
            f"  %e{i} = extractvalue {struct_type} %d, {i}",
            f"  %k{i} = mul i32 %lane, {len(regs_c)}",
            f"  %l{i} = add i32 %k{i}, {i}",
            f"  %q{i} = getelementptr {acc}, ptr %out, i32 %l{i}",
            f"  store {acc} %e{i}, ptr %q{i}",
        ]
    lines += ["  ret void", "}"]
    lines.append("declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()")
    lines.append(f"declare {struct_type} {intrinsic}({', '.join(types)})")
    open(prefix + ".ll", "w").write("\n".join(lines) + "\n")
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (%d,)}" % (32 * count)
    with open(prefix + ".npy", "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        file.write(struct.pack(f"<{32 * count}Q", *sum(slots, [])))
else:
    code, size = {"f16": ("e", 2), "f32": ("f", 4), "f64": ("d", 8), "i32": ("i", 4)}[
        result
    ]
    data = open(prefix + ".out.npy", "rb").read()[-32 * num_c * size :]
    values = struct.unpack(f"<{32 * num_c}{code}", data)
    for lane in range(32):
        for i in range(num_c):
            row, column = place_c(lane, i)
            expected = C[row][column] + sum(A[row][x] * B[x][column] for x in range(k))
            got = values[lane * num_c + i]
            assert got == expected, (lane, i, row, column, got, expected)
    print("right")
