"""Commands that are killed or asked to end in the middle of their work."""

import os
import signal
import subprocess
import threading
import time

import psutil

from helpers.commands import ROOT, environment
from helpers.fork_server import Popen


def kill_when(condition, *words) -> None:
    """Start the command, wait for the condition, kill it and everything it started with SIGKILL."""
    process = Popen(
        [str(word) for word in words],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 400
    while not condition():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    launched = psutil.Process(process.pid)
    for started in (*launched.children(recursive=True), launched):  # launchers put workers in groups of their own
        started.kill()
    process.wait()


def signalled(command, whom, after: str = "'loss'") -> tuple[int, str]:
    """Start the command; once it has logged, send SIGTERM to what `whom(process)` names. Its status and stderr."""
    process = Popen(
        [str(word) for word in command],
        cwd=ROOT,
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(process.stderr), daemon=True)
    reader.start()
    try:
        for line in process.stdout:
            if after in line:
                break
        assert process.poll() is None, "".join(told)
        os.kill(whom(process), signal.SIGTERM)
        process.stdout.read()
        status = process.wait(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    reader.join(timeout=10)
    return status, "".join(told)


def itself(process: subprocess.Popen) -> int:
    return process.pid
