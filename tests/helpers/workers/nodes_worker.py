"""Two "machines", one process on each: refused where they share no folder; then trained with a folder they share.

    python nodes_worker.py RESULT_DIR OWN_DIR RECIPE [--key value ...]

OWN_DIR is another one on each machine. RESULT_DIR/refused-RANK: the exit status of `ocr2 train` with it.
"""

import os
from pathlib import Path

from helpers.workers.train_worker import program_words, train_and_end
from ocr2_hf.__main__ import main
from ocr2_hf.errors import run_command

if __name__ == "__main__":
    folder, own, recipe_path, *overrides = program_words()
    status = run_command(main, ["train", recipe_path, "--output_dir", own])
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / f"refused-{os.environ['RANK']}").write_text(str(status))
    train_and_end(Path(folder), recipe_path, overrides)
