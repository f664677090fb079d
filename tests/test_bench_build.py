"""`bench_build.py` at a small size: what it measures is measured. How fast it is, no test says: run it."""

import json

import pytest
from PIL import Image

from data_scripts.bench_build import draw_pages, main
from data_scripts.file_tree import list_files
from data_scripts.formats import choose_format
from ocr2_hf.errors import run_command


@pytest.mark.parametrize("kind", ["PNG", pytest.param("JPEG", marks=pytest.mark.slow)])
def test_every_figure_is_there_and_the_ratios_are_theirs(tmp_path, capsys, kind):
    options = ["--kinds", kind, "--pages", "6", "--size", "200x300", "--rounds", "1", "--num_proc", "2"]
    words = [*options, "--work_dir", str(tmp_path), "--output", str(tmp_path / "bench.json")]
    assert run_command(main, words) == 0
    measured = json.loads((tmp_path / "bench.json").read_text())
    assert set(measured["results"]) == {kind}
    for result in measured["results"].values():
        rates = result["pages_per_second"]
        assert all(6 / seconds[0] == rates[name] > 0 for name, seconds in result["seconds"].items())
        assert result["build_over_copy"] == rates["build"] / rates["copy"]
        assert result["build_over_imagefolder"] == rates["build"] / rates["imagefolder"]
        assert result["seconds_when_unchanged"] > 0 and result["extra_memory_mib"] < 200
    assert "build / copy" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]  # its pages are cleared away


def test_its_pages_are_an_annotation_folder(tmp_path):
    folder = draw_pages(tmp_path / "pages", "JPEG", 3, (200, 300))
    assert choose_format("auto", [list_files(folder / "annotations")]) == "json"
    assert {Image.open(path).size for path in (folder / "images").iterdir()} == {(200, 300)}
