"""Makes the reference importable, and runs every test on every route."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "reference"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from programs import FULL, ROUTES

#: What only the long run collects.
collect_ignore = [] if FULL else ["test_product.py"]


@pytest.fixture(scope="session", params=ROUTES)
def route(request):
    return request.param
