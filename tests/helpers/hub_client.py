"""Clients of the Hub on the loopback, as processes of their own: they read endpoint and token when they start."""

import json
import os
import subprocess
import sys
from pathlib import Path

from helpers.commands import ROOT, run_process
from helpers.hub_server import HubServer

COMMANDS = "tests/helpers/workers/hub_commands.py"


def environment(hub: HubServer, home: Path, **extra: str) -> dict[str, str]:
    known = {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return os.environ | known | hub.environment(home) | extra


def run(hub: HubServer, home: Path, *words: object, cwd: Path = ROOT, **extra: str) -> subprocess.CompletedProcess:
    """One process, as a user starts it."""
    command = [sys.executable, *map(str, words)]
    return run_process(command, cwd=cwd, env=environment(hub, home, **extra), timeout=400)


def run_commands(
    hub: HubServer, home: Path, *calls: tuple[str, list[object]], tokens: dict[int, str] | None = None
) -> list[tuple[int, str, str]]:
    """Several commands of ours, one after the other in one process; (status, stdout, stderr) of each.

    `tokens`: call -> another token than the Hub's own.
    """
    plain = [
        (name, [str(word) for word in words], (tokens or {}).get(number, hub.token))
        for number, (name, words) in enumerate(calls)
    ]
    done = run(hub, home, COMMANDS, json.dumps(plain))
    assert done.returncode == 0, done.stdout + done.stderr
    return [tuple(call) for call in json.loads(done.stdout.splitlines()[-1])]
