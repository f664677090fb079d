"""Labels by the tables of formats and users: slips of the hand are no classes of their own."""

import pytest

from data_scripts.label_map import load_label_map, map_labels
from ocr2_hf.document.records import PageRecord


def mapped(label: str, table: dict[str, str | None]) -> list[str]:
    return map_labels(PageRecord("p", "p.png", "", [[0, 0, 1, 1]], [label]), table).labels


@pytest.mark.parametrize("label", ["Stamp", "Stamp ", " Stamp", "\tStamp\u00a0"])
def test_blanks_around_a_label_are_no_part_of_it(label):
    assert mapped(label, {}) == ["Stamp"]
    assert mapped(label, {"Stamp": "seal"}) == ["seal"]
    assert mapped(label, {"Stamp": None}) == []


def test_blanks_within_a_label_are_one():
    assert mapped("Page  header ", {"Page header": "header"}) == ["header"]
    assert mapped("Title ", {}) == ["title"]


def test_a_table_may_name_a_label_with_its_blank(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text('"Stamp ": "seal "\nNote: null\n')
    table = load_label_map(path)
    assert table == {"Stamp ": "seal", "Note": None}
    assert mapped("Stamp ", table) == ["seal"] and mapped("Stamp", table) == ["Stamp"]


def test_a_label_of_blanks_alone_is_left_to_be_refused():
    assert mapped("  ", {}) == [""]
