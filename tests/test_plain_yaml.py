"""YAML that is to bring a command to a halt is refused in a moment, with one message."""

import time

import pytest
import yaml

from data_scripts.label_map import load_label_map
from ocr2_hf.document.plain_yaml import MAX_BYTES, parse_yaml
from ocr2_hf.errors import UsageError
from ocr2_hf.recipe_file import read_yaml

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 30))
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000))
BOMBS = {
    "aliases": (LAUGHS, "10,000 values"),
    "merged mappings": (LAUGHS.replace("[x, x]", "{x: x}").replace("[*", "{<<: [*").replace("]\n", "]}\n"), "10,000"),
    "a chain of aliases": (CHAIN, "50 levels"),
    "an alias of itself": ("a: &a [*a]", "a part of"),
    "brackets": ("a: " + "[" * 20_000, "50 levels deep"),
    "closed brackets": ("a: " + "[" * 20_000 + "]" * 20_000, "50 levels deep"),
    "braces": ("{a: " * 20_000, "50 levels deep"),
    "dashes": ("- " * 20_000, "50 levels deep"),
    "questions": ("? " * 20_000, "50 levels deep"),
    "many keys": ("".join(f"k{i}: 0\n" for i in range(50_000)), "10,000 values"),
    "bytes": ("#" * (MAX_BYTES + 1), "bytes"),
    "a date that is none": ("a: 2026-99-99", "month must be"),
    "a number of thousands of digits": ("a: " + "1" * 5000, "digits"),
    "a key twice": ("a: 1\na: 2", "stands twice"),
}


@pytest.mark.parametrize(("text", "told"), BOMBS.values(), ids=BOMBS)
def test_bombs(tmp_path, text, told):
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    start = time.process_time()
    for read in (read_yaml, load_label_map):
        with pytest.raises(UsageError, match=told) as refused:
            read(path)
        assert str(path) in str(refused.value) and len(str(refused.value)) < 500
    assert time.process_time() - start < 5


def test_aliases_that_save_writing_are_taken():
    shared = "base: &base {r: 8, alpha: 16}\none: *base\nother: {<<: *base, r: 4}\n"
    base = {"r": 8, "alpha": 16}
    assert parse_yaml(shared) == {"base": base, "one": base, "other": base | {"r": 4}}


def test_a_word_of_the_command_line_is_bounded_too():
    with pytest.raises(yaml.YAMLError, match="50 levels deep"):
        parse_yaml("[" * 20_000)
