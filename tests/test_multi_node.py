"""The SLURM script that starts a launcher on each of two machines; what the two then do is in test_multiprocess.py."""

import json
import os
import subprocess
from pathlib import Path

from helpers.commands import BIN, ROOT
from helpers.launches import MULTI_NODE


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
        assert json.loads(line) == ["launch", "--config_file", MULTI_NODE, *machine, *meet, *train]
    assert (ROOT / MULTI_NODE).is_file() and (ROOT / recipe[0]).is_file()
