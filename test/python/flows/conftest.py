"""Makes the reference and the test programs importable."""

import sys

from findtool import PACKAGE_PATH, ROOT

for folder in (ROOT / "test" / "reference", ROOT / "test" / "python" / "execution"):
    sys.path.insert(0, str(folder))

#: Without a build there is nothing to test.
collect_ignore_glob = [] if PACKAGE_PATH.parent.exists() else ["*"]
