"""Start two processes as a user would: by accelerate, by the deepspeed launcher, and on two "machines"."""

import socket
from pathlib import Path

from helpers.commands import BIN, ROOT, environment
from helpers.fork_server import Popen

MULTI_NODE = "accelerate_configs/multi_node_zero3.yaml"


def launcher(strategy: str) -> list[str]:
    """The words before the program; `strategy` is the name of a file in accelerate_configs, or deepspeed."""
    if strategy == "deepspeed":
        return [str(BIN / "deepspeed"), "--num_gpus", "2", "--master_port", "29617"]
    config = ["--config_file", f"accelerate_configs/{strategy}.yaml"]
    return [str(BIN / "accelerate"), "launch", *config, "--num_processes", "2", "--main_process_port", "0"]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def two_machines(logs: Path, *what: str | Path) -> list[tuple[int, str]]:
    """The documented command on both "machines", one process each, meeting on the loopback; `what` is the program and
    its words. (status, output) of each."""
    meet = ["--num_machines", "2", "--num_processes", "2", "--main_process_ip", "127.0.0.1"]
    meet += ["--main_process_port", str(free_port())]
    machines = []
    for rank in "01":
        words = [str(word).replace("{rank}", rank) for word in what]
        command = [str(BIN / "accelerate"), "launch", "--config_file", MULTI_NODE, "--machine_rank", rank]
        with open(logs / f"machine{rank}.log", "w") as log:
            machines.append(
                Popen([*command, *meet, *words], cwd=ROOT, env=environment(OMP_NUM_THREADS="1"), stdout=log, stderr=log)
            )
    try:
        statuses = [machine.wait(timeout=300) for machine in machines]
    finally:
        for machine in machines:
            machine.terminate()  # a launcher ends its processes; nothing where it has ended
    return [(status, (logs / f"machine{rank}.log").read_text()) for rank, status in enumerate(statuses)]
