"""Every recipe in the folder: it parses, says what it does, and every field of ours is read by code."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

from ocr2_hf.modeling.adapters import fully_trained_groups, lora_config
from ocr2_hf.modeling.losses import TERMS
from ocr2_hf.recipe import load_recipe, read_yaml
from ocr2_hf.recipe_fields import BLOCKS, KEYS, OURS
from ocr2_hf.recipe_help import block_of
from ocr2_hf.training.trainer import OWN_RATES

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted(
    path for path in (ROOT / "recipes").rglob("*.yaml") if "model_type" not in path.read_text(encoding="utf-8")
)
IDS = [str(path.relative_to(ROOT / "recipes")) for path in RECIPES]


def test_there_are_recipes():
    assert {"tiny/full.yaml", "tiny/lora.yaml", "deepseek_ocr2/full.yaml"} <= set(IDS)
    assert {"deepseek_ocr2/lora.yaml", "deepseek_ocr2/lora_16gb.yaml"} <= set(IDS)


@pytest.mark.parametrize("path", RECIPES, ids=IDS)
def test_it_parses_and_its_training_block_is_accepted(path, tmp_path):
    recipe = load_recipe(path, ["--output_dir", str(tmp_path)])
    assert recipe.training_arguments().output_dir == str(tmp_path)
    assert fully_trained_groups(recipe.model) or lora_config(recipe.model).target_modules


@pytest.mark.parametrize("path", RECIPES, ids=IDS)
def test_its_first_comment_is_its_launch_command(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.match(r"# (accelerate launch|deepspeed|ocr2|python) ", first)
    assert str(path.relative_to(ROOT)) in first
    for named in re.findall(r"accelerate_configs/\S+|recipes/\S+\.yaml", path.read_text(encoding="utf-8")):
        assert (ROOT / named.rstrip("`;,.")).is_file(), named


@pytest.mark.parametrize("path", RECIPES, ids=IDS)
def test_its_blocks_stand_in_order(path):
    blocks = re.findall(r"^# (Model|Data|Loss|Training)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert blocks == ["Model", "Data", "Loss", "Training"]


@pytest.mark.parametrize("path", RECIPES, ids=IDS)
def test_its_keys_stand_in_the_block_that_help_lists_them_in(path):
    parts = re.split(r"^# (Model|Data|Loss|Training)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        for name in re.findall(r"^(\w+):", text.partition("\nstages:")[0], re.MULTILINE):
            assert block_of(KEYS[name]).startswith(title), name


@pytest.mark.parametrize("path", RECIPES, ids=IDS)
def test_no_two_recipes_share_an_output_folder(path):
    same = [other for other in RECIPES if read_yaml(other).get("output_dir") == read_yaml(path).get("output_dir")]
    assert same == [path]


def attributes_read() -> set[str]:
    """Every name that the package reads as `something.NAME`, or by a table of names that it goes through."""
    names = {*(term.weight_key for term in TERMS.values()), *OWN_RATES.values()}
    for path in (ROOT / "ocr2_hf").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                names.add(node.attr)
    return names


def test_every_field_of_ours_is_read_by_code():
    unread = set(OURS) - attributes_read()
    assert not unread, f"fields that no code reads: {sorted(unread)}"


def test_every_field_of_ours_is_documented():
    documented = {item.name for block in BLOCKS for item in fields(block) if item.metadata.get("help")}
    assert set(OURS) <= documented
