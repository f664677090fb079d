"""The languages of pages: modules with the same names, each what pages of that language say."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from data_scripts.synthetic import chinese, english

LANGUAGES: dict[str, ModuleType] = {"en": english, "zh": chinese}
SIGNS = "()[]%=*&'+"


def letters(words: ModuleType) -> str:
    """Every letter and sign that pages of the language may hold, once."""
    names = (value for name, value in vars(words).items() if name.isupper() and name != "FACE")
    return "".join(dict.fromkeys(SIGNS + "".join(_texts(names)))).replace(" ", "")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(value.values())
    elif not isinstance(value, float):
        for item in value:
            yield from _texts(item)
