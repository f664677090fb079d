"""The ways a command can end before it is done, and the one place that turns them into an exit status.

Exit status: 0 done; 1 the work failed (data, guard, some files of many); 2 the call or the recipe is wrong; 143 (128 +
SIGTERM) stopped from outside, what was done is saved. Not 0: a scheduler would take the work for done.
"""

import os
import sys
from collections.abc import Callable


class UsageError(Exception):
    """The call or the recipe is wrong (status 2). The message says what, where, which value, what to do."""

    status = 2


class WorkError(Exception):
    """The call was right, the work failed (status 1)."""

    status = 1


class Preempted(Exception):
    """The work was told to stop by SIGTERM and is saved (status 143)."""

    status = 143


def run_command(main: Callable[[list[str] | None], int | None], argv: list[str] | None = None) -> int:
    """Run `main(argv)` and return the exit status.

    A `UsageError` or `WorkError` becomes one message on stderr, printed by rank 0 alone, without a traceback.
    Any other exception is a defect of ours and keeps its traceback.
    """
    try:
        return main(argv) or 0
    except (UsageError, WorkError) as error:
        if os.environ.get("RANK", "0") == "0":
            print(f"error: {error}", file=sys.stderr)
        return error.status
    except Preempted as stopped:
        if os.environ.get("RANK", "0") == "0":
            print(stopped, file=sys.stderr)
        return stopped.status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
