"""Python processes without the seconds that importing takes: each is forked from one that has imported everything.

`Popen` is the standard library's. Where the command is a Python program of the environment that runs the tests, the
process is not executed but forked from a server whose libraries were imported under the same settings: a process of its
own with the arguments, environment, folder, streams and session that it was given. A launcher gets a server of its own,
so what it starts is forked too, and is found among its children. Programs that must start anew, such as those that look
at what is imported, are given as `-c`; with OCR2_TESTS_EXECUTE in the environment, as `make slow` sets it, all do.
"""

import atexit
import gc
import importlib
import inspect
import json
import os
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from helpers.curves import blank_curves

BIN, ROOT = Path(sys.executable).parent, Path(__file__).resolve().parents[2]
LAUNCHER = "accelerate"
_SCRIPTS = {LAUNCHER: ("accelerate.commands.accelerate_cli", "main"), "ocr2": ("ocr2_hf.__main__", "cli")}
# Settings that libraries read when they are imported.
_READ_BY_IMPORTS = ("HF_", "TRANSFORMERS_", "TQDM_", "CUDA_", "DS_", "PYTHONWARNINGS", "PYTHONHASHSEED")
_READ_LATER = ("HF_DATASETS_CACHE", "HF_TOKEN")  # the first is set by `_become`
_NUMBER = struct.Struct("!q")  # what a server tells: a process, and then its end
_ADDRESS = "OCR2_TESTS_FORK_SERVER"
_AGENT = "torch.distributed.elastic.multiprocessing.subprocess_handler.subprocess_handler"  # starts a launch's workers
_asked: Counter[frozenset] = Counter()
_servers: dict[frozenset, str] = {}
_IMPORTED = f"""
{_AGENT} accelerate.commands.accelerate_cli datasets deepspeed.comm.torch peft torch.distributed.run transformers
data_scripts.build_dataset data_scripts.build_run data_scripts.inspection data_scripts.synthesize
ocr2_hf.evaluation.registry ocr2_hf.publishing.hub ocr2_hf.reading.reader ocr2_hf.statements.parser
ocr2_hf.training.job ocr2_hf.training.stages
""".split()


class Popen(subprocess.Popen):
    """`subprocess.Popen` whose process is forked where that gives the same."""

    _link: socket.socket | None = None  # to the server, which tells the process's end

    def _execute_child(self, *positional: Any, **named: Any) -> None:
        call = inspect.signature(super()._execute_child).bind(*positional, **named).arguments
        words = [os.fspath(word) for word in call["args"]]
        env = dict(os.environ if call["env"] is None else call["env"])
        plain = not (call["shell"] or call["executable"] or call["preexec_fn"] or call["pass_fds"])
        forks = plain and _is_python_program(words) and "OCR2_TESTS_EXECUTE" not in os.environ
        address = _server_for(env) if forks else None
        if address is None:
            super()._execute_child(*positional, **named)
            return
        request = {"words": words, "env": env, "cwd": os.path.abspath(call["cwd"] or ".")}
        request["session"] = call["start_new_session"]
        pipes = [call[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        self._link = _connect(address, request, [own if fd == -1 else fd for own, fd in enumerate(pipes)])
        self.pid = _told(self._link)
        self._child_created = True
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(call[name] for name in ends))

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if self._link is None:
            return super()._try_wait(wait_flags)
        if wait_flags & os.WNOHANG and not select.select([self._link], [], [], 0)[0]:
            return 0, 0
        return self.pid, _told(self._link)

    def _internal_poll(self, *positional: Any, **named: Any) -> int | None:
        if self._link is None:
            return super()._internal_poll(*positional, **named)
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):
            try:
                pid, status = self._try_wait(os.WNOHANG)
                if pid and self.returncode is None:
                    self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


def _is_python_program(words: list[str]) -> bool:
    program = Path(words[0])
    if program.parent != BIN:
        return False
    if program.name in _SCRIPTS:
        return True
    rest = [word for word in words[1:] if word != "-u"]
    return program.name.startswith("python") and bool(rest) and (rest[0] == "-m" or rest[0].endswith(".py"))


def _server_for(env: Mapping[str, str]) -> str | None:
    """The address of a server with these settings.

    None in a launcher with others, and when a home that is not the tests' own is asked for the first time.
    """
    if _ADDRESS in os.environ:
        return os.environ[_ADDRESS] if _settings(env) == _settings(os.environ) else None
    settings = _settings(env)
    _asked[settings] += 1
    if settings not in _servers:
        if env.get("HF_HOME") != os.environ.get("HF_HOME") and _asked[settings] < 2:
            return None
        _servers[settings] = start(env)
    return _servers[settings]


def use(env: Mapping[str, str], address: str) -> None:
    """Fork processes with the settings of `env` from a server that another process has started."""
    _servers[_settings(env)] = address


def _settings(env: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    names = (name for name in env if name.startswith(_READ_BY_IMPORTS) and name not in _READ_LATER)
    return frozenset((name, env[name]) for name in names)


def _connect(address: str, request: dict[str, Any], streams: list[int]) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + 120
    while link.connect_ex(address):  # it has still to import everything
        assert time.monotonic() < deadline, "the server of the tests has not started"
        time.sleep(0.1)
    data = json.dumps(request).encode() + b"\n"
    sent = socket.send_fds(link, [data], streams)
    link.sendall(data[sent:])
    return link


def start(env: Mapping[str, str]) -> str:
    """Start a server with the settings of `env`, which lives as long as this process; its address."""
    folder = tempfile.TemporaryDirectory(prefix="ocr2-fork-")
    address = f"{folder.name}/socket"
    path = os.pathsep.join(map(str, (ROOT / "tests", ROOT)))
    server = subprocess.Popen(
        [sys.executable, "-m", "helpers.fork_server", address],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=dict(env) | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )

    def stop() -> None:
        server.stdin.close()
        server.wait()
        folder.cleanup()

    atexit.register(stop)
    return address


# --- in the server, and in what is forked from it


def _listen(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    return listener


def _serve(listener: socket.socket, life: int) -> None:
    """Fork a process for every request, until `life` is closed at its other end; a forked process runs its program."""
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([listener, life], [], [], 0.02 if running else None)
        while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with running.pop(ended[0]) as link:
                _tell(link, ended[1])
        if life in ready:
            os._exit(0)
        if listener not in ready:
            continue
        link, _ = listener.accept()
        data, streams, _, _ = socket.recv_fds(link, 65536, 3)
        while not data.endswith(b"\n"):
            more = link.recv(65536)
            if not more:
                break  # whoever asked has ended
            data += more
        if not data.endswith(b"\n"):
            for end in (*streams, link.detach()):
                os.close(end)
            continue
        pid = os.fork()
        if not pid:
            listener.close()
            for other in (link, *running.values()):
                other.close()
            os.close(life)
            _become(json.loads(data), streams)
            return
        for stream in streams:
            os.close(stream)
        _tell(link, pid)
        running[pid] = link


def _tell(link: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError):  # nobody waits for it
        link.sendall(_NUMBER.pack(number))


def _told(link: socket.socket) -> int:
    data = link.recv(_NUMBER.size, socket.MSG_WAITALL)
    return _NUMBER.unpack(data)[0] if data else signal.SIGKILL  # the server is gone, and all with it


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Take the request's streams, environment and folder, and run its program to the end."""
    if request["session"]:
        os.setsid()
    for own, stream in enumerate(streams):
        os.dup2(stream, own)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    lines_at_once = "PYTHONUNBUFFERED" in os.environ
    # A new one: this may be a pipe, the server's was none.
    sys.stdout = open(1, "w", buffering=1 if lines_at_once else -1, closefd=False)  # noqa: SIM115
    datasets, torch = sys.modules["datasets"], sys.modules["torch"]
    if "HF_DATASETS_CACHE" in os.environ:
        datasets.config.HF_DATASETS_CACHE = Path(os.environ["HF_DATASETS_CACHE"])
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    _run([word for word in request["words"] if word != "-u"])


def _run(words: list[str]) -> None:
    program = Path(words[0]).name
    if program == LAUNCHER and not _start_beside_launcher():
        return
    if program == LAUNCHER or "RANK" in os.environ:
        _execute(words)
    else:
        _end_at_once(_outcome(words))


def _outcome(words: list[str]) -> int:
    """Run the program; its exit status."""
    try:
        _execute(words)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except Exception:  # noqa: BLE001  whatever the program raises
        traceback.print_exc()
        return 1
    return 0


def _end_at_once(status: int) -> None:
    """End without freeing, one by one, all the objects that were imported, which takes a third of a second."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)


def _execute(words: list[str]) -> None:
    program = Path(words[0]).name
    if program in _SCRIPTS:
        module, function = _SCRIPTS[program]
        sys.argv = words
        sys.exit(getattr(importlib.import_module(module), function)())
    if words[1] == "-m":
        sys.argv, sys.path[0] = words[2:], os.getcwd()
        runpy.run_module(words[2], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = words[1:], os.path.dirname(os.path.abspath(words[1]))
        runpy.run_path(words[1], run_name="__main__")


def _start_beside_launcher() -> bool:
    """Fork a server that lives as long as this process, which is about to run a launcher; False: this is that server's
    forked process, and has done its work."""
    address = f"{tempfile.mkdtemp(prefix='ocr2-fork-')}/socket"
    listener = _listen(address)
    life, held = os.pipe()
    server = os.fork()
    if not server:
        os.close(held)
        _serve(listener, life)
        return False
    listener.close()
    os.close(life)

    def stop() -> None:
        os.close(held)
        os.waitpid(server, 0)
        shutil.rmtree(os.path.dirname(address))

    atexit.register(stop)
    os.environ[_ADDRESS] = address
    sys.modules[_AGENT].Popen = subprocess.Popen = Popen
    return True


if __name__ == "__main__":
    for name in _IMPORTED:
        importlib.import_module(name)
    # DeepSpeed would compile its all-reduce over shared memory, for most of a minute; gloo gives the same sums.
    sys.modules["deepspeed.comm.torch"].build_shm_op = lambda: None
    gc.collect()
    gc.freeze()  # no collection in a forked process walks over what is imported, and copies its memory
    with blank_curves():
        _serve(_listen(sys.argv[1]), 0)
