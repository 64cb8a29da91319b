"""Makes the reference importable, and gives the package a cache of its own."""

import os
import sys
import tempfile

import pytest
from findtool import PACKAGE_PATH, ROOT

for _folder in ("test/reference", "test/python/execution", "test/python/gpu"):
    sys.path.insert(0, str(ROOT / _folder))

#: Without a build there is nothing to test; a build without the package
#: (-DSCALING_PYTHON=OFF) is an error that the imports report.
collect_ignore_glob = [] if PACKAGE_PATH.parent.exists() else ["*"]

_cache = tempfile.TemporaryDirectory(prefix="scaling-cache-")
os.environ["SCALING_CACHE_DIR"] = _cache.name


@pytest.fixture
def python_environment():
    """For other processes that import the package."""
    paths = [str(PACKAGE_PATH), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
