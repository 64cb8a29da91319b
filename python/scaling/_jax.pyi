from collections.abc import Callable
from typing import Any

def handler(
    find: Callable[[str, str, str], Any], warn: Callable[[str, bytes], None]
) -> Any: ...
