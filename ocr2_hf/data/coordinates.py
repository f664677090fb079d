"""Coordinates as tokens: each number 0..999 must be one token of its own, or no box can be trained or read."""

from transformers import PreTrainedTokenizerBase

from ocr2_hf.document.grounding import COORDINATE_MAX, BoxSpan, grounding_tag
from ocr2_hf.errors import UsageError


def coordinate_token_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The token ids of "0".."999", as the tokenizer writes them inside a box.

    Raises `UsageError` when a coordinate is not exactly one token, or two share one.
    """
    ids: list[int] = []
    for start in range(0, COORDINATE_MAX + 1, 4):
        values = range(start, start + 4)
        text = grounding_tag("text", values)
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        token_of = {tuple(span): token for span, token in zip(encoding.offset_mapping, encoding.input_ids, strict=True)}
        place = text.index("[[")
        for value in values:
            place = text.index(str(value), place)
            token = token_of.get((place, place + len(str(value))))
            if token is None:
                raise UsageError(
                    f"the tokenizer of {tokenizer.name_or_path!r} does not write the coordinate {value} of {text!r} "
                    "as one token: boxes cannot be trained with it; use the tokenizer of DeepSeek-OCR-2"
                )
            ids.append(token)
            place += len(str(value))
    if len(set(ids)) != len(ids):
        raise UsageError(f"the tokenizer of {tokenizer.name_or_path!r} writes two coordinates as the same token")
    return tuple(ids)


def token_at(offsets: list[tuple[int, int]]) -> dict[int, int]:
    """Character offset -> index of the token that starts there (the first that is not empty)."""
    starts: dict[int, int] = {}
    for index, (start, end) in enumerate(offsets):
        if end > start:
            starts.setdefault(start, index)
    return starts


def box_token_indices(span: BoxSpan, offsets: list[tuple[int, int]], starts: dict[int, int]) -> list[int]:
    """Where `<|det|>` and the four coordinates of a region stand among the target's tokens.

    Raises `UsageError` when one of them is not one token.
    """
    indices = []
    for start, end in (span.det, *span.coordinates):
        index = starts.get(start)
        if index is None or tuple(offsets[index]) != (start, end):
            raise UsageError(f"the tokenizer splits the box {list(span.values)} of a {span.label!r} region differently")
        indices.append(index)
    return indices
