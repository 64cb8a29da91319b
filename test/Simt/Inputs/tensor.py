"""Two matrices of 64 x 32 small integers, or a check of their product.

tensor.py write PREFIX KIND     PREFIX.a.npy, PREFIX.b.npy
tensor.py check PREFIX KIND     PREFIX.c.npy = a times the transpose of b
"""

import random
import struct
import sys

mode, prefix, kind = sys.argv[1:4]
random.seed(5)
# Sums are exact in every type.
a, b = ([[random.randint(-8, 8) for _ in range(32)] for _ in range(64)] for _ in "ab")


def write(path, matrix):
    """As words: the tool takes them as they are."""
    pack = {
        "tf32": lambda x: struct.pack("<f", x),
        "bf16": lambda x: struct.pack("<f", x)[2:],
        "f16": lambda x: struct.pack("<e", x),
    }[kind]
    data = b"".join(pack(x) for row in matrix for x in row)
    size = len(data) // 4
    header = b"{'descr': '<i4', 'fortran_order': False, 'shape': (%d,)}" % size
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        file.write(data)


if mode == "write":
    write(prefix + ".a.npy", a)
    write(prefix + ".b.npy", b)
else:
    data = open(prefix + ".c.npy", "rb").read()[-64 * 64 * 4 :]
    c = struct.unpack("<4096f", data)
    for i in range(64):
        for j in range(64):
            expected = sum(x * y for x, y in zip(a[i], b[j]))
            assert c[64 * i + j] == expected, (i, j, c[64 * i + j], expected)
