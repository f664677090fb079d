"""The reader: what a page gives of an answer, and a tiny model that reads images and PDFs."""

import json
from dataclasses import replace

import pytest
import torch
import yaml
from PIL import Image, ImageDraw

from helpers.parrot import Parrot
from ocr2_hf import DocumentReader
from ocr2_hf.document.grounding import Region
from ocr2_hf.document.page_files import PageSource, list_pages
from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.modeling.tiny import save_tiny
from ocr2_hf.reading.reader import read_saved_recipe
from ocr2_hf.reading.results import Page

TABLE = "<table><tr><td>Total</td><td>7</td></tr></table>"
ANSWER = (
    "<|ref|>title<|/ref|><|det|>[[0, 0, 999, 111]]<|/det|>\n# Bill\n\n"
    "<|ref|>image<|/ref|><|det|>[[0, 111, 333, 222]]<|/det|>\n\n"
    f"<|ref|>table<|/ref|><|det|>[[333, 333, 666, 999]]<|/det|>\n{TABLE}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def reader(model):
    return DocumentReader.from_pretrained(model)


def drawn(text="Total 1,234.56", size=(300, 200)):
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((20, 20), text, fill="black", font_size=24)
    return image


def page(raw, source=None):
    return Page(raw, 999, 1998, True, 9, 0.5, PageSource(source or Image.new("RGB", (999, 1998), "white")))


def test_a_grounded_answer():
    read = page(ANSWER)
    assert read.regions == [
        Region("title", (0, 0, 999, 222), "# Bill"),
        Region("image", (0, 222, 333, 444), ""),
        Region("table", (333, 666, 666, 1998), TABLE),
    ]
    assert read.text == f"# Bill\n{TABLE}"
    assert read.markdown == f"# Bill\n\n{TABLE}"
    assert [table.to_numpy().tolist() for table in read.tables] == [[["Total", "7"]]]


@pytest.mark.parametrize(
    ("raw", "markdown"),
    [
        ("Plain\n\ntext", "Plain\n\ntext"),
        ("", ""),
        ("Before\n<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\nafter", "Before\n\nafter"),
        ("<|ref|>text<|/ref|><|det|>[[1, 2", ""),
        ("<|ref|>text<|/ref|><|det|>[[no box]]<|/det|>\nkept", "kept"),
    ],
)
def test_markdown_of_other_answers(raw, markdown):
    assert page(raw).markdown == markdown


def test_json_holds_everything_but_the_image():
    document = json.loads(page(ANSWER).to_json())
    assert document["file"] is None and document["page"] == 1
    assert document["raw"] == ANSWER and document["markdown"].startswith("# Bill\n\n")
    assert (document["width"], document["height"], document["finished"]) == (999, 1998, True)
    assert document["regions"][0] == {"label": "title", "box": [0, 0, 999, 222], "text": "# Bill"}
    assert document["tables"] == [{"header_rows": 0, "rows": [["Total", "7"]]}]
    assert document["repairs"] == [] and (document["reason"], document["score"]) == ("eos", None)


def test_overlay_draws_a_frame_per_region(tmp_path):
    path = tmp_path / "scan.png"
    Image.new("L", (999, 1998), 255).save(path)
    page(ANSWER, path).save_overlay(tmp_path / "overlay.png")
    overlay = Image.open(tmp_path / "overlay.png")
    assert overlay.size == (999, 1998)
    edge, inside, outside = (overlay.getpixel((x, 1500)) for x in (331, 500, 300))
    assert outside == (255, 255, 255)
    assert sum(edge) < sum(inside) < sum(outside) and sum(inside) > 600  # a tint: the ink under it stays readable
    assert overlay.getpixel((333, 1500)) != overlay.getpixel((500, 0))  # another label, another colour
    assert Image.open(path).mode == "L"


def test_scores_are_the_mean_probability_of_a_regions_tokens():
    raw = (
        "<|ref|>a<|/ref|><|det|>[[1, 2, 3, 4], [5, 6, 7, 8]]<|/det|>\nxy\n\n"
        "<|ref|>b<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"
    )
    half = raw.index("\n\n<|ref|>b")
    # Tokens of two characters; those of the first region have 0.5, the last of them reaches beyond it, the others 1.
    ends = tuple(range(2, len(raw) + 2, 2))
    ends = (*ends[:-1], len(raw))
    probabilities = tuple(0.5 if end - 2 < half else 1.0 for end in ends)
    read = replace(page(raw), probabilities=probabilities, token_ends=ends)
    first, second, third = read.regions
    assert (first.score, second.score) == (0.5, 0.5) and third.score == 1.0
    assert read.score == pytest.approx(sum(probabilities) / len(probabilities))
    assert read.to_dict()["regions"][2]["score"] == 1.0 and "score" not in page(raw).to_dict()["regions"][0]
    assert page("").score is None


def test_repairs_are_told():
    read = page("<|ref|>a<|/ref|><|det|>[[1, 2, 3, 1004]]\nText <|ref|>b")
    assert [repair.kind for repair in read.repairs] == ["missing_end_tag", "coordinate_out_of_range", "cut_off"]
    assert json.loads(read.to_json())["repairs"][1] == {
        "kind": "coordinate_out_of_range",
        "where": 24,
        "value": "[1, 2, 3, 1004]",
    }


def test_a_blank_page_is_not_asked(reader):
    blank, grey = Image.new("RGB", (300, 200), "white"), Image.new("L", (90, 90), 200)
    pages = reader.read([blank, drawn(), grey, drawn("two")], max_new_tokens=3, batch_size=2)
    assert [(read.blank, read.reason, read.tokens) for read in pages] == [
        (True, "blank", 0),
        (False, "length", 3),
        (True, "blank", 0),
        (False, "length", 3),
    ]
    assert (pages[0].text, pages[0].regions, pages[0].width, pages[0].score) == ("", [], 300, None)


def test_the_time_is_up(model):
    reader = DocumentReader.from_pretrained(model, max_seconds=0.001)
    read = reader.read(drawn(), max_new_tokens=500)
    assert (read.finished, read.reason) == (False, "time") and 1 <= read.tokens < 500
    assert json.loads(read.to_json())["reason"] == "time"


def test_a_batch_that_does_not_fit_is_halved():
    class Small(Parrot):
        def generate(self, images, prompts, max_new_tokens=0):
            if len(images) > 2 or any(image.width > 300 for image in images):
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().generate(images, prompts, max_new_tokens)

    reader = Small("Text")
    assert [read.text for read in reader.read([drawn()] * 7, batch_size=7)] == ["Text"] * 7
    assert reader.batches == [1, 2, 2, 2]
    with pytest.raises(WorkError, match="image: too little GPU memory to read this page, even alone"):
        reader.read([drawn(), drawn(size=(400, 200))])
    failed = []
    sources = list_pages(drawn(size=(400, 200))) + list_pages(drawn())
    told = list(reader.stream(sources, "", on_error=lambda source, error: failed.append((source, str(error)))))
    assert len(told) == 1 and failed[0][0] == sources[0]


def test_pages_of_a_document_by_number(reader, tmp_path):
    drawn().save(tmp_path / "two.pdf", save_all=True, append_images=[drawn("Two", (400, 800))])
    (read,) = reader.read(tmp_path / "two.pdf", pages="2-", max_new_tokens=2)
    assert (read.source.number, read.height) == (1, 1600)
    assert [r.source.number for r in reader.read(tmp_path / "two.pdf", pages=[1], max_new_tokens=2)] == [0]
    with pytest.raises(UsageError, match="pages '2-1'"):
        reader.read(tmp_path / "two.pdf", pages="2-1")


def test_an_image_gives_a_page_and_more_give_a_list(reader, tmp_path):
    drawn().save(tmp_path / "one.png")
    drawn().save(tmp_path / "two.pdf", save_all=True, append_images=[drawn("Two", (400, 800))])
    drawn().save(tmp_path / "single.pdf")
    few = {"max_new_tokens": 4}
    assert reader.read(drawn(), **few).width == 300
    assert reader.read(str(tmp_path / "one.png"), **few).source.source == str(tmp_path / "one.png")
    assert [read.height for read in reader.read(tmp_path / "two.pdf", **few)] == [400, 1600]
    assert len(reader.read(tmp_path / "single.pdf", **few)) == 1
    assert len(reader.read([drawn()], **few)) == 1 and reader.read([], **few) == []
    many = reader.read([tmp_path / "two.pdf", drawn(), tmp_path / "one.png"], batch_size=2, **few)
    assert [(read.height, read.source.number) for read in many] == [(400, 0), (1600, 1), (200, 0), (200, 0)]
    assert all(read.tokens == 4 and not read.finished and read.seconds > 0 for read in many)


def test_answers_do_not_depend_on_the_batch(reader):
    # One page with tiles beside pages without: padded and unpadded answers must agree.
    images = [drawn("One", (190, 190)), drawn("A much longer line of text", (700, 400)), drawn("3", (90, 60))]
    together = [read.raw for read in reader.read(images, max_new_tokens=8, batch_size=3)]
    assert together == [reader.read(image, max_new_tokens=8).raw for image in images]


def test_prompts(reader):
    assert reader.prompt("ocr") == "<image>\nFree OCR."
    assert reader.prompt("markdown", "Read the table.") == "<image>\nRead the table."
    assert reader.prompt("custom", "<image>\nAs it is") == "<image>\nAs it is"
    assert reader.prompt("locate", "Total") == "<image>\nLocate <|ref|>Total<|/ref|> in the image."
    for task in ("locate", "custom"):
        with pytest.raises(UsageError, match=f"'{task}' needs a prompt"):
            reader.read(drawn(), task=task)
    with pytest.raises(UsageError, match="unknown task 'translate'; known: ocr, markdown"):
        reader.read(drawn(), task="translate")


def test_prompts_of_the_recipe_are_used(model, tmp_path):
    directory = save_tiny(tmp_path / "trained")
    recipe = {"tasks": {"ocr": 1.0}, "prompts": {"ocr": "<image>\nLis la page."}, "learning_rate": 1e-3}
    (directory / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    prompts = DocumentReader.from_pretrained(directory).prompts
    assert prompts["ocr"] == "<image>\nLis la page." and "Convert" in prompts["markdown"]


def test_the_guard_against_loops_is_the_recipes_unless_told_otherwise(model, tmp_path):
    directory = save_tiny(tmp_path / "trained")
    assert guard(DocumentReader.from_pretrained(directory)) == (20, 90)
    (directory / "recipe.yaml").write_text("no_repeat_ngram: 3\nno_repeat_window: 30\n")
    reader = DocumentReader.from_pretrained(directory)
    free = DocumentReader.from_pretrained(directory, no_repeat_ngram=0)
    assert guard(reader) == (3, 30) and guard(free) == (0, 30)
    # An untrained model loops at once, where it may.
    assert loops(free.read(drawn(), max_new_tokens=40)) and not loops(reader.read(drawn(), max_new_tokens=40))


def test_a_recipe_of_another_version_is_read_for_what_is_known(tmp_path):
    (tmp_path / "recipe.yaml").write_text("tasks: {ocr: 2}\nprompts: {}\nmethod: rewards\nlora_r: seven\n")
    recipe = read_saved_recipe(tmp_path)
    assert (recipe.tasks, recipe.prompts, recipe.no_repeat_ngram) == ({"ocr": 2.0}, {}, 20)


def guard(reader) -> tuple[int, int]:
    return reader.no_repeat_ngram, reader.no_repeat_window


def loops(read) -> bool:
    return read.raw.endswith(read.raw[-3:] * 5)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"no_repeat_ngram": 1}, "no_repeat_ngram: 1: must be 0"),
        ({"no_repeat_ngram": 91}, "no_repeat_window: 90 is shorter than no_repeat_ngram: 91"),
        ({"no_repeat_window": 10}, "no_repeat_window: 10 is shorter than no_repeat_ngram: 20"),
    ],
)
def test_a_guard_that_guards_nothing_is_refused_before_the_model_loads(tmp_path, flags, told):
    with pytest.raises(UsageError, match=told):
        DocumentReader.from_pretrained(tmp_path, **flags)  # where there is no model


@pytest.mark.parametrize(
    "text",
    [
        "no_repeat_window: 9",
        "no_repeat_ngram: many",
        "- a list",
        "tasks: [ocr]",
        "prompts: {translate: x}",
        "tasks: {ocr: 1",
        "tasks: {ocr: -1}",
        "prompts: {ocr: Read.}",
        "no_repeat_ngram: 3\nno_repeat_ngram: 4",
        "\x00",
    ],
)
def test_a_broken_recipe_is_named(tmp_path, text):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"recipe\.yaml"):
        DocumentReader.from_pretrained(tmp_path)


def test_bad_pages_and_models_are_named(reader, tmp_path):
    with pytest.raises(WorkError, match=r"gone\.png: no such file"):
        reader.read(tmp_path / "gone.png")
    with pytest.raises(UsageError, match="no_such_model"):
        DocumentReader.from_pretrained(tmp_path / "no_such_model")
