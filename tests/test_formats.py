"""Every annotation format keeps the contract of `Format`: names, types, what its functions take and give."""

import inspect
from typing import get_type_hints

import pytest

from data_scripts.formats import FORMATS, choose_box_unit
from data_scripts.formats.format import Format
from ocr2_hf.document.records import BOX_UNITS, check_label
from ocr2_hf.errors import UsageError


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_all_that_the_protocol_asks(name):
    module = FORMATS[name]
    assert isinstance(module, Format)
    assert isinstance(module.FILES, str) and module.FILES
    assert isinstance(module.LABELS, dict)
    for known, label in module.LABELS.items():
        assert isinstance(known, str) and check_label(label, known) == label
    assert isinstance(module.LEVELS, tuple) and all(isinstance(level, str) for level in module.LEVELS)


@pytest.mark.parametrize("name", FORMATS)
def test_the_unit_of_its_boxes_is_its_own_or_the_users(name):
    fixed = FORMATS[name].BOX_UNIT
    assert fixed is None or BOX_UNITS[fixed]
    assert choose_box_unit(name, None) == fixed
    for unit in BOX_UNITS:
        if fixed in (None, unit):
            assert choose_box_unit(name, unit) == unit
        else:
            with pytest.raises(UsageError, match=f"--box_unit {unit}: boxes of the format {name} are in {fixed}"):
                choose_box_unit(name, unit)


@pytest.mark.parametrize("function", ["recognise", "list_pages", "read_page"])
@pytest.mark.parametrize("name", FORMATS)
def test_its_functions_can_stand_for_those_of_the_protocol(name, function):
    wanted, found = getattr(Format, function), getattr(FORMATS[name], function)
    assert get_type_hints(found) == get_type_hints(wanted)
    parameters = list(inspect.signature(found).parameters)
    assert ["self", *parameters] == list(inspect.signature(wanted).parameters)
    assert inspect.getdoc(found)
