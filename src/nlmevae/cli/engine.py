"""The import of what every fit needs, numba and scipy among it."""

from __future__ import annotations

import gc
import importlib
import sys


def import_engine(module: str) -> None:
    """Import the module and all that it imports while garbage collection rests: what is made then stays for good, and
    the collector would look through all of it several times (a tenth of the time that the imports take). Nor does it
    look at it later."""
    if module in sys.modules:
        return
    gc.disable()
    try:
        importlib.import_module(module)
    finally:
        gc.enable()
    gc.freeze()
