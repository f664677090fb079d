"""Two machines: one launcher each, one process each, meeting on the loopback; and the SLURM script that starts them."""

import json
import os
import socket
import subprocess
from pathlib import Path

from commands import BIN, ROOT, environment
from test_multiprocess import loads_with_stock_classes, result, same_rows, workplace  # noqa: F401

CONFIG = "accelerate_configs/multi_node_zero3.yaml"


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def launch(logs: Path, *what: str | Path) -> list[tuple[int, str]]:
    """The documented command on both "machines", `what` being the program and its words: (status, output) of each."""
    meet = ["--num_machines", "2", "--num_processes", "2", "--main_process_ip", "127.0.0.1"]
    meet += ["--main_process_port", str(free_port())]
    machines = []
    for rank in "01":
        words = [str(word).replace("{rank}", rank) for word in what]
        command = [str(BIN / "accelerate"), "launch", "--config_file", CONFIG, "--machine_rank", rank, *meet, *words]
        with open(logs / f"machine{rank}.log", "w") as log:
            machines.append(
                subprocess.Popen(command, cwd=ROOT, env=environment(OMP_NUM_THREADS="1"), stdout=log, stderr=log)
            )
    try:
        statuses = [machine.wait(timeout=300) for machine in machines]
    finally:
        for machine in machines:
            machine.terminate()  # a launcher ends its processes; nothing where it has ended
    return [(status, (logs / f"machine{rank}.log").read_text()) for rank, status in enumerate(statuses)]


def test_two_machines_train_as_one_process(workplace, tmp_path):  # noqa: F811
    worker = ["tests/workers/train_worker.py", workplace / "nodes", workplace / "recipe.yaml"]
    for status, output in launch(tmp_path, *worker, "--output_dir", workplace / "nodes" / "run"):
        assert status == 0, output[-3000:]
    told = [result(workplace, "nodes", rank) for rank in (0, 1)]
    assert [rank["world"] for rank in told] == [2, 2]
    assert {rank["wrapped"] for rank in told} == {"DeepSpeedEngine"}
    same_rows(told[0]["log"], result(workplace, "single")["log"])
    loads_with_stock_classes(workplace / "nodes")


def test_machines_that_do_not_share_the_output_folder_are_refused(workplace, tmp_path):  # noqa: F811
    words = ["-m", "ocr2_hf", "train", workplace / "recipe.yaml", "--output_dir", tmp_path / "disk{rank}"]
    (first, told), (second, _) = launch(tmp_path, *words)
    assert (first, second) == (1, 1)  # accelerate makes 1 of every status
    assert "disk0 of machine 0 is not there on" in told and "name a folder on a disk all share" in told
    assert not any(path.is_file() for path in tmp_path.glob("disk*/**/*"))


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / name).chmod(0o755)


def test_the_slurm_script_starts_one_launcher_on_each_machine(tmp_path):
    """SLURM's programs are played: srun starts its command once per machine, with that machine's number."""
    program(tmp_path, "scontrol", "printf 'alpha\\nbeta\\n'")
    program(
        tmp_path,
        "srun",
        'while [[ $1 == --* ]]; do shift; done\nfor SLURM_NODEID in 0 1; do export SLURM_NODEID; "$@"; done',
    )
    program(tmp_path, "accelerate", f'{BIN / "python"} -c "import json, sys; print(json.dumps(sys.argv[1:]))" "$@"')
    slurm = {
        "SLURM_JOB_NODELIST": "alpha,beta",
        "SLURM_NNODES": "2",
        "SLURM_GPUS_ON_NODE": "8",
        "SLURM_JOB_ID": "12345",
    }
    recipe = ["recipes/deepseek_ocr2/full.yaml", "--dataset", "my pages", "--tasks", "{ocr: 1}"]
    done = subprocess.run(
        ["bash", "recipes/deepseek_ocr2/slurm_multi_node.sh", *recipe],
        cwd=ROOT,
        env=os.environ | slurm | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for rank, line in enumerate(lines):
        machine = ["--num_machines", "2", "--machine_rank", str(rank), "--num_processes", "16"]
        meet = ["--main_process_ip", "alpha", "--main_process_port", "22345"]
        train = ["-m", "ocr2_hf", "train", *recipe]
        assert json.loads(line) == ["launch", "--config_file", CONFIG, *machine, *meet, *train]
    assert (ROOT / CONFIG).is_file() and (ROOT / recipe[0]).is_file()
