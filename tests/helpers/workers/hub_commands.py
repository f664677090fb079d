"""Several commands of ours, one after the other: python hub_commands.py JSON, a list of (name, words, token).

Prints a JSON list of (status, stdout, stderr) on its last line.
"""

import contextlib
import io
import json
import os
import sys
from importlib import import_module

from ocr2_hf.errors import run_command

if __name__ == "__main__":
    told = []
    for name, words, token in json.loads(sys.argv[1]):
        os.environ["HF_TOKEN"] = token
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run_command(import_module(f"ocr2_hf.commands.{name}").main, words)
        told.append([status, out.getvalue(), err.getvalue()])
    print("\n" + json.dumps(told))
