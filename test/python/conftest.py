"""Makes what all tests share importable, and the package of the build: where
tests run in several processes, the one that reports imports the classes of the
warnings that it prints."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from findtool import PACKAGE_PATH

sys.path.insert(0, str(PACKAGE_PATH))
