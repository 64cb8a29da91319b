"""Writes a .npy file: 1, 2, 3, ... in one dimension, or random numbers.

Needs nothing but Python: make.py FILE TYPE SIZE[xSIZE...] [random]
"""

import random
import struct
import sys

path, kind, sizes = sys.argv[1:4]
shape = tuple(int(size) for size in sizes.split("x"))
count = 1
for size in shape:
    count *= size
random.seed(1)
values = [i + 1 if len(sys.argv) < 5 else random.random() for i in range(count)]
code = {"f4": "f", "f8": "d", "f2": "e", "i4": "i"}[kind]
header = f"{{'descr': '<{kind}', 'fortran_order': False, 'shape': {shape}, }}"
# The data begin at a multiple of 64 bytes.
header = (header.ljust(117 + (len(header) > 117) * 64) + "\n").encode()
with open(path, "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    file.write(struct.pack(f"<{count}{code}", *values))
