"""Where numba keeps the compiled engines."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def ensure_kernel_cache() -> None:
    """Give numba a temporary folder where it could write neither beside the package nor in the home folder:
    it refuses to compile then, and a fit that compiles every time is better than none.

    To be called before numba is imported; an NUMBA_CACHE_DIR of the user's is left alone.
    """
    if "NUMBA_CACHE_DIR" in os.environ or any(_writable(folder) for folder in (Path(__file__).parent, Path.home())):
        return
    os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"nlmevae-kernels-{os.getuid()}")


def _writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
