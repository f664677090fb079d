"""What tests call in the process that opens files."""

import os
import sys
import time


def process_id(path: str, name: str) -> int:
    """Whose process it is."""
    return os.getpid()


def heavy_modules(path: str, name: str) -> set[str]:
    """The modules that it should not have."""
    return {"torch", "datasets", "transformers", "pandas"} & sys.modules.keys()


def sleep(path: str, name: str, seconds: float) -> None:
    """A file that takes its time."""
    time.sleep(seconds)
