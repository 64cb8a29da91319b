"""Makes the package of the build, the reference and the test programs
importable."""

import os
import sys
from pathlib import Path

from findtool import ROOT

#: The package as it is in the build.
PACKAGE_PATH = (
    Path(os.environ.get("SCALING_BIN", ROOT / "build" / "bin")).parent / "python"
)
for folder in (
    ROOT / "test" / "reference",
    ROOT / "test" / "python" / "execution",
    PACKAGE_PATH,
):
    sys.path.insert(0, str(folder))

#: Without a build there is nothing to test.
collect_ignore_glob = [] if PACKAGE_PATH.parent.exists() else ["*"]
