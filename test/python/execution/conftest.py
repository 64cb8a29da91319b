"""Makes the reference importable, and runs every test on every route.

SCALING_TEST_ROUTES lists the routes, separated by commas. A route whose code is
the same as another's is left out.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "reference"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from programs import distinct_routes

DEFAULT_ROUTES = "linalg,cpu"
ROUTES = os.environ.get("SCALING_TEST_ROUTES", DEFAULT_ROUTES).split(",")


@pytest.fixture(scope="session", params=ROUTES)
def route(request):
    if request.param not in distinct_routes(tuple(ROUTES)):
        pytest.skip(f"{request.param} gives the code of another route")
    return request.param
