"""Makes the reference and what the CPU's tests are made of importable."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "reference"))
sys.path.insert(0, str(HERE.parent / "execution"))
sys.path.insert(0, str(HERE))
