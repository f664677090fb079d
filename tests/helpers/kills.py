"""Commands that kill themselves at their n-th file operation, and what lies there in the end.

    python tests/helpers/kills.py LOG NUMBER MILLISECONDS WHOM WORDS ...

runs `ocr2 WORDS ...` and writes a line into LOG for each file that it, or what it forks, opens to write, renames,
removes, and so on. Before the operation NUMBER (0: never) it sends SIGKILL to `itself` or to its whole `group`; with
MILLISECONDS the end comes so long after it, in whatever a library does meanwhile.
"""

import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

_CHANGES = {f"os.{name}" for name in ("chmod", "link", "mkdir", "remove", "rename", "rmdir", "symlink", "truncate")}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_LINE = 200  # bytes, so that the log's size is its number of operations
_PATIENCE = 300  # seconds, after which a command is stuck
# All that may differ between two runs of one command: what names time, speed or memory, or when a file was written (in
# logs of what was read `json` is a file's size and time, in workbooks there is a part with their date).
TIMES = ("seconds", "inference_time", "memory_gb", "bytes", "seconds_to_end", "json")
TIME_ENDINGS = ("_runtime", "_per_second")
TIMED_PART = "docProps/core.xml"


def operations(log: Path) -> list[str]:
    """What a run did, in its order."""
    data = log.read_text(errors="replace")
    return [data[start : start + _LINE].rstrip() for start in range(0, len(data), _LINE)]


def call(
    words: Iterable[object],
    log: Path,
    env: dict[str, str],
    number: int = 0,
    delay: int = 0,
    whom: str = "itself",
    begun: Callable[[int], None] = lambda group: None,
) -> tuple[int, str]:
    """Run the command, killed at its operation `number`; its status, and what it printed. `begun` is told its group."""
    from helpers.commands import ROOT
    from helpers.fork_server import Popen

    log.unlink(missing_ok=True)
    command = [sys.executable, "tests/helpers/kills.py", log, number, delay, whom, *words]
    with open(log.with_suffix(".told"), "w+") as told:  # no pipe: whoever outlives a kill would hold it
        pipes = {"stdin": subprocess.DEVNULL, "stdout": told, "stderr": told}
        process = Popen(list(map(str, command)), cwd=ROOT, env=env, start_new_session=True, **pipes)
        try:
            begun(process.pid)
            status = process.wait(timeout=_PATIENCE)
            wait_for_all(process.pid)
        finally:
            end_group(process.pid)
        told.seek(0)
        return status, told.read()


def wait_for_all(group: int) -> None:
    """Workers of a command that was killed end by themselves."""
    deadline = time.monotonic() + 20
    while is_there(group):
        assert time.monotonic() < deadline, "what the command started did not end"
        time.sleep(0.05)


def is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def end_group(group: int) -> None:
    if is_there(group):
        os.killpg(group, signal.SIGKILL)


def results(folder: Path) -> dict[str, str]:
    """Every file and folder below, hidden ones too, with a digest of the content but for `TIMES`.

    Of the vision cache, whose files have drawn names, only the folder.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.parent.parent.name != "vision_features"]
    return {
        str(path.relative_to(folder)): "" if path.is_dir() else _digest(path.name, path.read_bytes()) for path in paths
    }


def _digest(name: str, content: bytes) -> str:
    suffix = Path(name).suffix
    if suffix == ".xlsx":
        with ZipFile(BytesIO(content)) as book:
            content = b"".join(book.read(part) for part in book.namelist() if part != TIMED_PART)
    elif suffix == ".html":  # a report's figures, times among them, are those of metrics.json
        content = re.sub(rb"\d+\.\d+", b"", content)
    elif suffix in (".json", ".jsonl"):
        rows = content.splitlines() if suffix == ".jsonl" else [content]
        content = json.dumps([_timeless(json.loads(row)) for row in rows]).encode()
    return hashlib.sha256(content).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        named = value.items()
        return {k: _timeless(each) for k, each in named if k not in TIMES and not k.endswith(TIME_ENDINGS)}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


# --- in the command


def _main() -> None:
    log, number, delay, whom, *words = sys.argv[1:]
    file = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    sys.argv = ["ocr2", *words]
    from ocr2_hf.__main__ import cli

    def count(event: str, args: tuple) -> None:
        if _changes_files(event, args) and _add(file, f"{event} {args[0]}") == int(number):
            _end(int(delay), whom)

    sys.addaudithook(count)
    cli()


def _changes_files(event: str, args: tuple) -> bool:
    if event == "open":
        return bool(args[2] & _WRITES) and not str(args[0]).startswith("/dev/")
    return event in _CHANGES


def _add(file: int, line: str) -> int:
    """Write down an operation; the how manieth it is of all processes."""
    fcntl.lockf(file, fcntl.LOCK_EX)  # goes with a process that is killed
    os.write(file, os.fsencode(line)[-_LINE:].ljust(_LINE))
    number = os.fstat(file).st_size // _LINE
    fcntl.lockf(file, fcntl.LOCK_UN)
    return number


def _end(delay: int, whom: str) -> None:
    if delay:
        signal.setitimer(signal.ITIMER_REAL, delay / 1000)  # SIGALRM, which nobody handles
    elif whom == "group":
        os.killpg(0, signal.SIGKILL)
    else:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _main()
