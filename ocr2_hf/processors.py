"""How many processors there are for a process."""

import os


def usable_processors() -> int:
    """Those that this process may use; not every system tells which."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
