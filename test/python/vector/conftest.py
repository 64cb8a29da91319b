"""Makes the reference and the problems of the linalg tests importable."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[2] / "reference"))
sys.path.insert(0, str(HERE.parents[1] / "linalg"))
