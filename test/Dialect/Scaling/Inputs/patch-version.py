"""Writes another version of the scaling dialect into bytecode.

usage: patch-version.py IN OUT MAJOR MINOR
"""

import sys

source, target, major, minor = sys.argv[1:]
data = open(source, "rb").read()


def varint(value):
    """A number below 128, as bytecode writes it."""
    return bytes([int(value) << 1 | 1])


# A section of kind 7 (dialect version), two bytes long: 1 and 0.
old = bytes([7]) + varint(2) + varint(1) + varint(0)
assert data.count(old) == 1, data.count(old)
new = bytes([7]) + varint(2) + varint(major) + varint(minor)
open(target, "wb").write(data.replace(old, new))
