"""The example and the benchmark of the IREE flow, on short runs."""

import os
import subprocess
import sys

import pytest
import scaling
from findtool import ROOT

pytest.importorskip("iree.compiler")
pytest.importorskip("iree.runtime")


def test_example():
    done = subprocess.run(
        [sys.executable, ROOT / "examples/iree/iree_model.py"]
        + ["--heads=2", "--seconds=0.1"],
        env={**os.environ, "PYTHONPATH": os.path.dirname(scaling.__path__[0])},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "times faster" in done.stdout
    words = done.stdout.split()
    assert float(words[words.index("by") + 1]) < 1e-4
