"""How deep the lines of a statement lie."""

from collections.abc import Sequence

from ocr2_hf.statements.names import Name


def line_levels(names: Sequence[Name], indents: Sequence[int]) -> tuple[list[int], str]:
    """(level of each line, 0 outermost; what told them: "spaces", "numbering" or "").

    Spaces before the names go before their numbering. Where neither is there all levels are 0.
    """
    if len(set(indents)) > 1:
        rank = {indent: level for level, indent in enumerate(sorted(set(indents)))}
        return [rank[indent] for indent in indents], "spaces"
    kinds = list(dict.fromkeys(name.numbering for name in names if name.numbering))
    if kinds and not (len(kinds) == 1 and all(name.numbering for name in names)):
        return _by_numbering(names, kinds), "numbering"
    return [0] * len(names), ""


def _by_numbering(names: Sequence[Name], kinds: Sequence[str]) -> list[int]:
    """A kind of numbering lies below those that came before it (A., I., 1. or 一、, （一）, 1.).

    What has no number lies below the last line that has one, totals and what is added or taken away (加, 减, less)
    beside it.
    """
    levels, numbered, base = [], 0, 0
    for name in names:
        if name.numbering:
            numbered = kinds.index(name.numbering)
            levels.append(numbered)
            base = numbered + 1
        elif name.is_total or name.is_result or name.concept:
            levels.append(numbered)
        else:
            if name.adjusts:
                base = numbered
            levels.append(base)
    return levels
