"""recipes/deepseek_ocr2/verify.sh: what it counts, and the whole of it on the real tokenizer's twin."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ocr2_hf.document.dialect import VERSION_1, VERSION_2
from ocr2_hf.document.grounding import Region, encode_regions
from ocr2_hf.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
REGIONS = [
    Region("title", (0, 0, 90, 9), "# Report"),
    Region("text", (0, 10, 90, 19), "Costs rose."),
    Region("table_caption", (0, 20, 90, 29), "Table 1"),
    Region("table", (0, 30, 90, 39), "<table><tr><td>1</td></tr></table>"),
    Region("text", (0, 40, 90, 49), "The end."),
]


@pytest.fixture(scope="module")
def verify():
    spec = importlib.util.spec_from_file_location("verify", ROOT / "recipes/deepseek_ocr2/verify.py")
    module = sys.modules["verify"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_dialects_are_told_apart(verify):
    answers = [encode_regions(REGIONS, 999, 999, dialect) for dialect in (VERSION_1, VERSION_2, VERSION_2)]
    first, second = verify.count_dialect(answers[:1]), verify.count_dialect(answers[1:])
    assert first["answers exactly as version 1 writes"] == 1 == first["with a caption between tag and HTML"]
    assert first["answers exactly as version 2 writes"] == 0 and first["with 2 blanks behind"] == 2
    assert second["answers exactly as version 2 writes"] == 2 == second["headings"] == second["with marks"]
    assert second["with 2 blanks behind"] == 0 == second["with a caption between tag and HTML"]
    assert verify.count_dialect(["no regions"])["regions"] == 0


def test_the_page_escapes_what_the_model_said(verify):
    step = {"verdict": "told", "text": "<script>1</script>", "values": {"said": "<b>&"}}
    page = verify.page_of({"model": "<img src=x>", "steps": {"dialect": step}})
    assert "<script>" not in page and "<img" not in page and "&lt;b&gt;&amp;" in page and "1 told" in page


def test_another_models_folder_is_refused(verify, tmp_path):
    (tmp_path / "verify.json").write_text(json.dumps({"model": "another", "steps": {}}))
    with pytest.raises(UsageError, match="found of another"):
        verify.main([str(ROOT / "recipes/tiny/base"), str(tmp_path)])


@pytest.mark.slow
def test_the_whole_of_it_on_the_twin(real_checkpoint, tmp_path, datasets_cache):
    """Only what it reads is meaningless: its weights are random."""
    command = [ROOT / "recipes/deepseek_ocr2/verify.sh", real_checkpoint, tmp_path / "found"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for _ in range(2):  # the second time nothing is left to do
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=os.environ | {"PATH": path})
        assert done.returncode == 0, done.stdout + done.stderr
    steps = json.loads((tmp_path / "found/verify.json").read_text())["steps"]
    verdicts = {name: step["verdict"] for name, step in steps.items()}
    assert verdicts.pop("onnx") in ("agrees", "skipped")
    assert verdicts == {
        "weights": "agrees", "tokens": "agrees", "reading": "told", "dialect": "told", "training": "agrees",
    }  # fmt: skip
    assert set(steps["reading"]["values"]) == {
        "articles (ocr)",
        "articles (markdown)",
        "articles (locate)",
        "statements (table)",
    }
    assert len(steps["training"]["values"]["losses"]) == 2 and "Weights ..." not in done.stdout
    assert "Two steps of LoRA" in (tmp_path / "found/verify.html").read_text()
