"""Which pages and tasks a recipe trains on."""

from collections import Counter

import pytest
from datasets import Dataset
from torch.utils.data import DataLoader

from helpers.tiny_pages import page_dataset, page_row, processor
from ocr2_hf.data.collator import TrainingCollator
from ocr2_hf.data.columns import FEATURES
from ocr2_hf.data.page_tasks import PageTasks
from ocr2_hf.errors import WorkError

MIX = {"markdown": 1.0, "ocr": 1.0, "locate": 2.0}


def prompts(pages: PageTasks) -> list[str]:
    return [pages[i].prompt for i in range(len(pages))]


def test_the_draw_depends_on_seed_and_epoch_alone():
    one, same = (PageTasks(page_dataset(), processor(), MIX, seed=1) for _ in range(2))
    drawn = []
    for epoch in range(6):
        one.set_epoch(epoch)
        same.set_epoch(epoch)
        assert prompts(one) == prompts(same)
        drawn.append(tuple(prompts(one)))
    assert len(set(drawn)) > 1


def test_tasks_come_in_their_shares():
    pages = PageTasks(page_dataset(), processor(), MIX)
    drawn = Counter()
    for epoch in range(300):
        pages.set_epoch(epoch)
        drawn[pages[0].prompt.split()[1]] += 1
    assert drawn["Locate"] / 300 == pytest.approx(0.5, abs=0.1)


def test_a_page_has_the_task_that_its_epoch_was_laid_out_with():
    """Workers draw for one page, batches by tokens for all at once."""
    rows = [page_row(f"p{i}", (150, 120), ["Tea", f"Total {i}.50"], 2) for i in range(11)]
    pages = PageTasks(Dataset.from_list(rows, features=FEATURES), processor(), {"markdown": 1.0, "ocr": 1.0}, seed=5)
    drawn = [pages.drawn_lengths(epoch).tolist() for epoch in range(6)]
    for epoch, lengths in enumerate(drawn):
        assert [sum(pages.token_counts(index, epoch)) for index in range(11)] == lengths
    assert len(set(map(tuple, drawn))) == 6


def test_a_page_gets_only_tasks_that_suit_it():
    pages = PageTasks(page_dataset(), processor(), MIX)
    for epoch in range(20):
        pages.set_epoch(epoch)
        assert "Locate" not in pages[1].prompt  # it has no boxes


def test_workers_see_the_epoch_and_draw_the_same():
    pages = PageTasks(page_dataset(), processor(), MIX)
    loader = DataLoader(pages, batch_size=None, num_workers=2, persistent_workers=True, collate_fn=lambda e: e.prompt)
    for epoch in (0, 1, 2):
        pages.set_epoch(epoch)
        assert list(loader) == prompts(pages)


def test_lengths_are_what_the_collator_makes():
    pages = PageTasks(page_dataset(), processor(), {"markdown": 1.0})
    collate = TrainingCollator(processor())
    for index in range(4):
        assert collate([pages[index]])["input_ids"].shape[1] == pages.lengths[index, 0]


def test_pages_too_long_are_left_out_and_counted_never_cut():
    lengths = PageTasks(page_dataset(), processor(), {"markdown": 1.0}).lengths[:, 0]
    longest = int(lengths.argmax())
    pages = PageTasks(page_dataset(), processor(), {"markdown": 1.0}, max_length=int(lengths.max()) - 1)
    assert len(pages) == 3 and pages.dropped == {"longer than max_length": 1}
    assert longest not in pages.rows


def test_a_page_too_long_for_one_task_keeps_the_others():
    rows = [page_row("p", (100, 90), ["Tea", "Bun"], 2)]
    both = Dataset.from_list(rows, features=FEATURES)
    lengths = PageTasks(both, processor(), {"markdown": 1.0, "ocr": 1.0}).lengths[0]
    pages = PageTasks(both, processor(), {"markdown": 1.0, "ocr": 1.0}, max_length=int(lengths.min()))
    assert len(pages) == 1 and not pages.dropped and pages[0].target == "# Tea\nBun"


def test_pages_without_anything_for_the_tasks_are_counted():
    pages = PageTasks(page_dataset(), processor(), {"custom": 1.0})
    assert len(pages) == 0 and pages.dropped == {"nothing for these tasks": 4}


@pytest.mark.parametrize(("text", "told"), [("see <image> here", "<image>"), ("a <|det|> b", "grounding tag")])
def test_text_that_holds_the_models_own_tokens_stops_with_the_pages_name(text, told):
    dataset = Dataset.from_list([page_row("bad page", (100, 90), [text], 1)], features=FEATURES)
    with pytest.raises(WorkError, match="'bad page' cannot be trained on") as caught:
        PageTasks(dataset, processor(), {"markdown": 1.0})
    assert told in str(caught.value)


def textless(*rows: dict) -> Dataset:
    """Pages with boxes whose text nobody knows, and then `rows`."""
    unknown = [page_row(f"b{i}", (100, 90), ["Tea", "Bun"], 2) | {"text": " ", "texts": ["", ""]} for i in range(2)]
    return Dataset.from_list([*unknown, *rows], features=FEATURES)


def test_pages_and_regions_without_text_are_counted():
    question = page_row("q", (100, 90), [""], 0) | {"prompt": "Total?", "target": "7"}
    pages = PageTasks(textless(page_row("t", (100, 90), ["Tea"], 1), question), processor(), {"markdown": 1.0})
    assert (pages.pages_without_text, pages.regions_without_text, pages.regions) == (2, 4, 5)
    pages.check_texts("forms")


@pytest.mark.parametrize("task", ["markdown", "ocr"])
def test_a_task_that_writes_text_is_refused_where_no_page_has_any(task):
    blank = page_row("blank", (100, 90), [""], 0)
    pages = PageTasks(textless(blank), processor(), {task: 1.0, "locate": 1.0})
    count = {"markdown": 3, "ocr": 1}[task]  # boxes alone suit markdown, a blank page suits both
    with pytest.raises(WorkError, match=rf"^forms: none of the {count} pages for the task {task} has any text: "):
        pages.check_texts("forms")


def test_an_answer_is_no_text_for_markdown():
    row = page_row("q", (100, 90), ["Tea"], 1) | {"text": "", "texts": [""], "prompt": "Total?", "target": "7"}
    dataset = Dataset.from_list([row], features=FEATURES)
    PageTasks(dataset, processor(), {"custom": 1.0}).check_texts("forms")
    with pytest.raises(WorkError, match="for the task markdown has any text"):
        PageTasks(dataset, processor(), {"custom": 1.0, "markdown": 1.0}).check_texts("forms")


def test_a_prompt_that_asks_for_boxes_alone_may_have_no_text():
    own = {"markdown": "<image>\n<|grounding|>Find the regions."}
    PageTasks(textless(), processor(), {"markdown": 1.0}, own).check_texts("forms")
