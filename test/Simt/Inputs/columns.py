"""Checks that the columns of a matrix of f32 have the sum 1."""

import struct
import sys

path, rows, columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
data = open(path, "rb").read()[-4 * rows * columns :]
values = struct.unpack(f"<{rows * columns}f", data)
for column in range(columns):
    total = sum(values[column::columns])
    assert abs(total - 1) < 1e-5, (column, total)
