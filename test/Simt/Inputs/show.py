"""Prints a .npy file of i32, a line for each 32 elements."""

import struct
import sys

data = open(sys.argv[1], "rb").read()[128:]
values = struct.unpack(f"<{len(data) // 4}i", data)
for i in range(0, len(values), 32):
    print(list(values[i : i + 32]))
