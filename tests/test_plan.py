"""`ocr2 plan`: what it prints, and how it refuses."""

import re

import pytest
import yaml

from ocr2_hf.commands import plan
from ocr2_hf.errors import UsageError, run_command
from ocr2_hf.modeling.tiny import save_tiny


def recipe(tmp_path, **values):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"dataset": "none", "model": "tiny", **values}), encoding="utf-8")
    return str(path)


def test_the_real_model_without_weights_or_network(tmp_path, capsys):
    path = recipe(tmp_path, model="deepseek-community/DeepSeek-OCR-2", bf16=True, per_device_train_batch_size=1)
    assert plan.main([path, "--gpu_memory", "24"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^  all +3,389,119,360$", out, re.MULTILINE)
    assert "3,978,240 of" in out
    assert "weights in bfloat16" in out
    assert re.search(r"1240 x 1754 +6 tiles +1,121 tokens", out)
    assert re.search(r"^  weights +6\.79 GB$", out, re.MULTILINE)
    assert "estimated" in out
    assert "fits in 24 GB" in out


def test_a_verdict_that_says_what_to_do(tmp_path, capsys):
    path = recipe(tmp_path, model="deepseek-community/DeepSeek-OCR-2", train_language="full", bf16=True)
    assert plan.main([path, "--gpu_memory", "24", "--gradient_checkpointing", "true"]) == 0
    out = capsys.readouterr().out
    assert "does not fit in 24 GB" in out
    assert "most is optimizer" in out
    assert "optim: adamw_8bit" in out


def test_pages_batches_and_overrides_count(tmp_path, capsys):
    path = recipe(tmp_path, train_language="full", per_device_train_batch_size=2)

    def tflop(*words: str) -> tuple[float, float]:
        plan.main([path, *words])
        line = next(line for line in capsys.readouterr().out.splitlines() if "in a step of" in line)
        page, step = re.findall(r"(\d+\.\d+)", line)
        return float(page), float(step)

    page, step = tflop("--page", "1240x1754")
    assert step == pytest.approx(2 * page, abs=1e-3)
    assert tflop("--page", "1240x1754", "--gradient_accumulation_steps", "3")[1] == pytest.approx(6 * page, abs=1e-3)
    assert tflop("--page", "100x100")[0] < page / 2
    assert tflop("--page", "1240x1754", "--max_patches", "2")[0] < page
    assert tflop("--page", "1240x1754", "--target_tokens", "2000")[0] > page


def test_a_saved_model_is_planned_from_its_own_config(tmp_path, capsys):
    saved = save_tiny(tmp_path / "saved")
    capsys.readouterr()

    def planned(model: str) -> str:
        plan.main([recipe(tmp_path, model=model, train_language="full")])
        return capsys.readouterr().out.replace(model, "MODEL", 1)

    assert planned(str(saved)).split("parameters")[1] == planned("tiny").split("parameters")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--page", "100"], "'100' is not WIDTHxHEIGHT"),
        (["--page", "0x10"], "'0x10' is not WIDTHxHEIGHT"),
        (["--gpu_memory", "lots"], "'lots' is not a whole number"),
    ],
)
def test_wrong_calls(tmp_path, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        plan.main([recipe(tmp_path, train_language="full"), *words])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_wrong_recipe_is_status_2_and_one_message(tmp_path, capsys):
    path = recipe(tmp_path, learning_rat=1, lora_r="many")
    assert run_command(plan.main, [path]) == 2
    error = capsys.readouterr().err
    assert "did you mean learning_rate" in error
    assert "lora_r" in error
    assert "Traceback" not in error


def test_a_page_too_long_for_the_recipe_is_told(tmp_path):
    path = recipe(tmp_path, train_language="full", max_length=1200)
    with pytest.raises(UsageError, match="max_length"):
        plan.main([path, "--target_tokens", "600"])
