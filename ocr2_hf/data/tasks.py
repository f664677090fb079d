"""Tasks: what the model is asked about a page (prompt) and what it should answer (target)."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ocr2_hf.document.dialect import TABLE, heading, is_heading, without_mark
from ocr2_hf.document.grounding import GROUNDING, Region, encode_box, encode_regions, grounding_tag
from ocr2_hf.document.model_tokens import IMAGE, prompt_problem
from ocr2_hf.errors import UsageError

PROMPTS = {
    "ocr": "<image>\nFree OCR.",
    "markdown": f"<image>\n{GROUNDING}Convert the document to markdown.",
    "locate": "<image>\nLocate <|ref|>TEXT<|/ref|> in the image.",
    "table": "<image>\n提取表格内容",  # "extract the table's content"
    "custom": "<image>\n",
}
CHOOSING = ("locate", "table")  # of the page's regions they take one
LOCATE_LONGEST = 80  # characters; a longer text is no longer something one would search a page for

Row = Mapping[str, Any]


def suits(task: str, row: Row) -> bool:
    """Whether the page has what the task asks for.

    Boxes without texts, and questions with answers, say nothing about the text of a page: to answer such a page with
    nothing would teach silence. A page that has none of all that is blank, and nothing is the right answer.
    """
    is_question = row.get("prompt") is not None and row.get("target") is not None
    if task == "custom":
        return is_question
    if task == "locate":
        return bool(_locatable(row))
    if task == "table":
        return bool(page_tables(row))
    is_blank = not row["bboxes"] and not is_question
    return bool(row["text"].strip()) or is_blank or (task == "markdown" and bool(row["bboxes"]))


def has_text(row: Row) -> bool:
    """Whether it is known what stands on the page, or in one of its regions."""
    return bool(row["text"].strip()) or any(map(str.strip, row["texts"]))


def is_silent(row: Row) -> bool:
    """Whether there is nothing to write about the page: neither text nor an answer."""
    return not has_text(row) and not row.get("target")


def regions_without_text(row: Row) -> int:
    """How many of the page's regions have none: pictures, or such whose text is not known."""
    return sum(not text.strip() for text in row["texts"])


def build_example(task: str, row: Row, prompts: Mapping[str, str] | None = None, seed: int = 0) -> tuple[str, str]:
    """(prompt, target) of a page.

    `row` has the columns of a page record (the image is not needed); `prompts` overrides `PROMPTS` task by task;
    `seed` chooses the text of `locate` and the table of `table`; None takes the longest. Raises `ValueError` when the
    page does not suit the task.
    """
    if not suits(task, row):
        raise ValueError(f"page {row['id']!r} has nothing for the task {task!r}")
    prompt = (prompts or {}).get(task, PROMPTS[task])
    if task in ("ocr", "markdown"):
        regions, text = marked_page(row)
        if task == "markdown" and regions:
            return prompt, encode_regions(regions, row["width"], row["height"])
        # Text of which nobody knows where it stands: to ask for boxes and answer without would teach to leave them out.
        return prompt.replace(GROUNDING, "") if text else prompt, text
    if task == "custom":
        return prompt + row["prompt"].removeprefix(IMAGE).removeprefix("\n"), row["target"]
    if task == "table":
        return prompt, chosen_table(row, seed).text
    region = _chosen(_locatable(row), row["id"], seed)
    values = encode_box(region.box, row["width"], row["height"])
    text = without_mark(region.label, region.text)
    return prompt.replace("TEXT", text), grounding_tag(text, values)


def asked_prompt(task: str, prompt: str | None = None, prompts: Mapping[str, str] = PROMPTS) -> str:
    """The whole prompt by which a page is read. `prompt` is asked in place of the task's own; for `locate` it is the
    text to find. Raises `UsageError` on an unknown task, a missing prompt, or one that holds a control token or
    `<image>` twice."""
    if task not in prompts:
        raise UsageError(f"unknown task {task!r}; known: {', '.join(prompts)}")
    if prompt is None and task in ("locate", "custom"):
        raise UsageError(f"the task {task!r} needs a prompt: what to locate or to ask")
    whole = prompts[task]
    if prompt is not None:
        is_text = task == "locate" and "<|ref|>" not in prompt
        whole = whole.replace("TEXT", prompt) if is_text else prompt if IMAGE in prompt else f"{IMAGE}\n{prompt}"
    if problem := prompt_problem(whole):
        raise UsageError(f"the prompt {whole[:80]!r} {problem}")
    return whole


def box_tasks(tasks: Mapping[str, float], prompts: Mapping[str, str] | None = None) -> list[str]:
    """Those of a mix of tasks (task -> weight) that ask for boxes."""
    asked = PROMPTS | dict(prompts or {})
    return [task for task, weight in tasks.items() if weight > 0 and (task in CHOOSING or GROUNDING in asked[task])]


def build_target(task: str, row: Row, seed: int = 0) -> str:
    """The target of `build_example`."""
    return build_example(task, row, None, seed)[1]


def own_texts(task: str, row: Row) -> list[str]:
    """What a task may take from the page into prompt and target, whichever region it chooses, and what must be text:
    none of the model's tokens. A question and its answer (`custom`) may have tags."""
    if task == "custom":
        return []
    if task in CHOOSING:
        return [region.text for region in (page_tables(row) if task == "table" else _locatable(row))]
    parts = [part for region in page_regions(row) for part in (region.label, region.text)]
    return parts if task == "markdown" and parts else [row["text"]]


def page_regions(row: Row) -> list[Region]:
    """The regions of a page record, boxes in pixels."""
    return [
        Region(label, tuple(box), text)
        for label, box, text in zip(row["labels"], row["bboxes"], row["texts"], strict=True)
    ]


def marked_page(row: Row) -> tuple[list[Region], str]:
    """The regions and the text of a page record as targets have them: with marks before headings.

    Of lines or words that are one heading the first has the mark: in the page's text there is no blank line between.
    """
    regions, text = page_regions(row), row["text"]
    if not any(is_heading(region.label) for region in regions):
        return regions, text
    marked: list[Region] = []
    parts, end, before = [], 0, ""  # `text` is in `parts` up to `end`
    for region in regions:
        start = text.find(region.text, end) if region.text else -1
        gap = text[end:start] if start >= 0 else "\n\n"
        goes_on = region.label == before and not gap.strip() and gap.count("\n") < 2
        written = region.text if goes_on else heading(region.label, region.text)
        if start >= 0:
            parts += [gap, written if text[max(start - 1, 0) : start] in ("", "\n") else region.text]
            end = start + len(region.text)
        marked.append(replace(region, text=written))
        before = region.label
    return marked, "".join([*parts, text[end:]])


def page_tables(row: Row) -> list[Region]:
    """The tables of a page record whose HTML is known."""
    if TABLE not in row["labels"]:
        return []
    return [region for region in page_regions(row) if region.label == TABLE and region.text.startswith("<table")]


def chosen_table(row: Row, seed: int | None = 0) -> Region:
    """The table that the task `table` asks about: the image shows it alone (`ocr2_hf.data.images.crop_table`)."""
    return _chosen(page_tables(row), row["id"], seed)


def _chosen(regions: list[Region], page: str, seed: int | None) -> Region:
    if seed is None:
        return max(regions, key=lambda region: len(region.text.encode()))
    return random.Random(f"{seed}/{page}").choice(regions)


def _locatable(row: Row) -> list[Region]:
    """Regions whose text is short, on one line and stands on the page once: the answer must be unique."""
    if not any(row["texts"]):
        return []
    times = Counter(row["texts"])
    short = [region for region in page_regions(row) if 0 < len(region.text) <= LOCATE_LONGEST]
    return [region for region in short if "\n" not in region.text and times[region.text] == 1]
