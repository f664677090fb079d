"""How often generation goes wrong as a whole: the page ends in a loop, or never ends."""

from collections.abc import Sequence


def repetition_rate(predictions: Sequence[str]) -> float:
    """Share of pages whose text ends in a loop (see `ends_in_loop`). Raises ValueError on no pages."""
    if isinstance(predictions, str) or not len(predictions):
        raise ValueError("repetition_rate takes a list of at least one predicted text")
    return sum(map(ends_in_loop, predictions)) / len(predictions)


def missing_eos_rate(finished: Sequence[bool]) -> float:
    """Share of pages that stopped at the length limit, without an end token. ValueError on no pages."""
    if not len(finished):
        raise ValueError("missing_eos_rate takes a list of at least one page")
    return sum(not page for page in finished) / len(finished)


def ends_in_loop(text: str) -> bool:
    """Whether the tail of `text` is one unit repeated to the end, the last copy maybe cut short.

    A unit must come at least 6 times and cover 200 characters; one with a letter in it is also a loop when
    it comes 10 times and covers 60. Printed pages have long runs of digits, rules, dotted leaders, blanks
    and empty cells, but seldom that long, and a finished table breaks the run by its closing tag.
    """
    return _has_periodic_tail(text) or _has_periodic_tail(text.rstrip())


def _has_periodic_tail(text: str) -> bool:
    # A unit that comes 6 times is at most a sixth of the text.
    for period in range(1, len(text) // 6 + 1):
        length = _tail_length(text, period)
        repeats = length / period
        has_letter = any(character.isalpha() for character in text[-period:])
        if (repeats >= 6 and length >= 200) or (has_letter and repeats >= 10 and length >= 60):
            return True
    return False


def _tail_length(text: str, period: int) -> int:
    """Length of the longest suffix in which every character equals the one `period` before it."""
    start = len(text) - period
    while start > 0 and text[start - 1] == text[start - 1 + period]:
        start -= 1
    return len(text) - start
