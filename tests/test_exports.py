"""Exports that are killed, tried again, served by other users: what is whole is known as whole."""

import json
import os
import signal
import stat

import pytest

from helpers.commands import python
from ocr2_hf.commands.export import main
from ocr2_hf.errors import run_command
from ocr2_hf.modeling.tiny import save_tiny
from ocr2_hf.publishing.exports import EXPORT_FILE

# The command, killed once the folder has its name.
KILLED = """
import os, pathlib, sys
from ocr2_hf.commands.export import main
rename = pathlib.Path.rename
pathlib.Path.rename = lambda path, target: (rename(path, target), os.kill(os.getpid(), 9))
main(sys.argv[1:])
"""


@pytest.fixture
def source(tmp_path):
    return save_tiny(tmp_path / "source", seed=3)


@pytest.fixture
def words(source, tmp_path):
    return [str(source), "--to", "merged", "--output_dir", str(tmp_path / "merged")]


def test_an_export_that_was_killed_at_its_very_end_is_known_as_finished(words, tmp_path, capsys):
    (tmp_path / "killed.py").write_text(KILLED)
    assert python(tmp_path / "killed.py", *words).returncode == -signal.SIGKILL
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "merged").iterdir()}
    assert run_command(main, words) == 0
    assert capsys.readouterr().out == f"merged: {tmp_path / 'merged'} is finished already\n"
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "merged").iterdir()}


def test_another_export_into_the_folder_is_refused(words, source, tmp_path, capsys):
    assert run_command(main, words) == 0
    assert run_command(main, [*words, "--dtype", "bfloat16"]) == 2
    (source / "config.json").touch()
    assert run_command(main, words) == 2
    assert capsys.readouterr().err.count("is there already") == 2


def test_an_export_that_someone_took_from_is_not_finished(words, tmp_path):
    assert run_command(main, words) == 0
    (tmp_path / "merged" / "tokenizer.json").unlink()
    assert run_command(main, words) == 2


def test_an_export_can_be_read_by_others_and_says_nothing_of_this_machine(words, tmp_path):
    """A server's user is another one, and has a network."""
    umask = os.umask(0o022)
    try:
        assert run_command(main, words) == 0
    finally:
        os.umask(umask)
    files = list((tmp_path / "merged").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o644}
    assert "local_files_only" not in json.loads((tmp_path / "merged" / "tokenizer_config.json").read_text())
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in files if path.name != EXPORT_FILE)
