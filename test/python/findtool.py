"""Where the tests find the programs they run.

SCALING_BIN names the folder with the tools and then is the only one looked in:
`make test` sets it, and what it lacks is a failure. Without it the build folder
and the PATH are tried, and a test whose tool is not there is skipped.
"""

import functools
import importlib.util
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LLVM_BIN = Path(os.environ.get("LLVM_BIN", "/usr/lib/llvm-22/bin"))
#: The package as it is in the build.
PACKAGE_PATH = (
    Path(os.environ.get("SCALING_BIN", ROOT / "build" / "bin")).parent / "python"
)


def missing(what):
    if "SCALING_BIN" in os.environ:
        pytest.fail(f"no {what}", pytrace=False)
    pytest.skip(f"no {what}: set SCALING_BIN or build the project")


@functools.lru_cache
def find_tool(name):
    """A program of this project."""
    if "SCALING_BIN" in os.environ:
        path = Path(os.environ["SCALING_BIN"]) / name
        found = path if path.exists() else None
    else:
        path = ROOT / "build" / "bin" / name
        found = path if path.exists() else shutil.which(name)
    return str(found) if found else missing(name)


@functools.lru_cache
def find_llvm(name):
    """A program of the LLVM the project is built with."""
    found = shutil.which(name, path=LLVM_BIN) or shutil.which(f"{name}-22")
    return found or missing(f"{name} of LLVM 22")


def need_module(name):
    """For a test that uses a Python package."""
    if importlib.util.find_spec(name) is None:
        missing(f"Python package {name}")
