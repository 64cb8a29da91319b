"""What lit's feature `cuda` runs on hardware, over a driver that is not one."""

import subprocess
import sys
from pathlib import Path

from findtool import find_tool

SCRIPT = Path(__file__).with_name("device_cases.py")


def test_emulated():
    tools = Path(find_tool("scaling-compile")).parent
    done = subprocess.run(
        [sys.executable, SCRIPT, "--bin", tools, "--emulate", "thread_ragged", "grid"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "thread_ragged kernel 129x3x5: right" in lines
    assert "grid log 90x65: right" in lines
    assert "grid log 90x65, plain launches: right" in lines
