"""The model's own tokens, written out: what looks like text there and is none.

A tokenizer makes a control token of its name wherever that stands: a page that shows `<｜end▁of▁sentence｜>` would
teach the model to stop in its middle. So page texts hold none of these, and prompts and targets hold only those that a
task puts there. `<td>` and its kin are not among them: the tokenizer has them too, but they are the HTML of tables.

Source: the tokenizers of the family. `ocr2_hf.data.collator` asks the one at hand what else is special there.
"""

import re

from ocr2_hf.document.grounding import TAGS

IMAGE = "<image>"
# Begin, end and padding, fill-in-the-middle, tools and placeholders have full-width bars; the others are listed.
_CONTROL = r"<(?:｜[^｜<>\s]+｜|\|(?:User|Assistant|EOT)\|)>"
_CONTROL_TOKEN = re.compile(_CONTROL)
_MODEL_TOKEN = re.compile("|".join([*map(re.escape, (IMAGE, *TAGS)), _CONTROL]))


def find_control_token(text: str) -> re.Match | None:
    """The first control token: no tag of a region, and not `<image>`."""
    return _CONTROL_TOKEN.search(text)


def find_model_token(text: str) -> re.Match | None:
    """The first control token, grounding tag or `<image>`."""
    return _MODEL_TOKEN.search(text)


def prompt_problem(prompt: str) -> str | None:
    """What is wrong with a whole prompt, as the end of a sentence about it."""
    if prompt.count(IMAGE) != 1:
        return f"must hold {IMAGE} exactly once"
    if found := find_control_token(prompt):
        return f"must not hold {found[0]}, a control token of the model's own"
    return None
