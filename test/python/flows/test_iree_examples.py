"""The example of the IREE flow on a short run, and what its page shows."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import scaling
from findtool import LLVM_BIN, ROOT, find_tool

pytest.importorskip("iree.compiler")
pytest.importorskip("iree.runtime")

import scaling.iree


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


PROJECT = """
func.func @NAME(%x: tensor<?x4x4xf32>) -> tensor<?x4x4xf32> {
  %p, %k, %r, %s = scaling.project logits(%x : tensor<?x4x4xf32>) preset(mhc)
  return %p : tensor<?x4x4xf32>
}
"""


def test_the_page(tmp_path, monkeypatch):
    """Every command, and the programs between them."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "iree.md").read_text()
    blocks = re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL)
    (python,) = [code for language, code in blocks if language == "python"]
    (program,) = [code for language, code in blocks if language == "mlir"]
    install, elsewhere, cuda = [code for language, code in blocks if language == "sh"]
    assert install.startswith("pip install iree-base-compiler iree-base-runtime")

    pathlib.Path("model.mlir").write_text(PROJECT.replace("NAME", "main"))
    x = np.random.default_rng(0).normal(size=(5, 4, 4)).astype(np.float32)
    expected = scaling.project(x, preset="mhc")
    values = {"x": x}
    exec(python, values)
    np.testing.assert_allclose(values["out"], expected, rtol=1e-5)
    assert pathlib.Path("model.vmfb").stat().st_size

    pathlib.Path("sinkhorn.mlir").write_text(PROJECT.replace("NAME", "project"))
    pathlib.Path("main.mlir").write_text(program)
    (emit,) = re.findall(r"`(scaling-compile --emit=iree --target=nvptx.*?)`", page)
    folders = [os.path.dirname(find_tool("scaling-compile")), LLVM_BIN]
    folders += [os.path.dirname(sys.executable), os.environ["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(map(str, folders))}

    def run(commands):
        done = subprocess.run(
            ["bash", "-ec", commands], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    run("mkdir lib\n" + elsewhere)
    vmfb = pathlib.Path("main.vmfb").read_bytes()
    np.testing.assert_allclose(scaling.iree.Module(vmfb).main(x), expected, rtol=1e-5)
    link, _ = elsewhere[elsewhere.index("iree-link") :].split("\n", 1)
    run(f"rm -r lib; mkdir lib\n{emit} sinkhorn.mlir\n{link}\n{cuda}")
    assert b"scaling" in pathlib.Path("main.vmfb").read_bytes()
