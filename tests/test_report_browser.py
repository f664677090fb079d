"""The report in a headless browser, opened from disk: what a reader does with it, and what data must not do."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect, sync_playwright

from helpers.browser import open_browser
from helpers.tiny_pages import noise
from ocr2_hf.document.predictions import Prediction
from ocr2_hf.evaluation.report import images as report_images
from ocr2_hf.evaluation.report import write_comparison, write_report
from ocr2_hf.evaluation.summary import compare, summarize_with_intervals

pytestmark = pytest.mark.browser

HOSTILE = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\"'></script><!--"
TABLE = "<table><tr><td colspan=2 onclick='window.hacked=1'>Total</td></tr><tr><td>{}</td><td>2</td></tr></table>"


def region(*box, label="text", text="words"):
    return {"label": label, "box": list(box), "text": text}


def page(id, prediction, reference, seconds=1.0, **more):
    boxes = {"regions": [region(10, 10, 100, 40)], "reference_regions": [region(10, 10, 110, 40, text="Words")]}
    size = {"width": 200, "height": 300, "seconds": seconds, "prompt": "<image>\nFree OCR."}
    return Prediction.from_dict({"id": id, "prediction": prediction, "reference": reference, **size, **boxes, **more})


def pages():
    return [
        page("good", "abcd efgh", "abcd efgh", seconds=3),
        page(
            "fair", "abcd efgx", "abcd efgh", regions=[region(10, 10, 60, 40), region(5, 200, 90, 290, label="title")]
        ),
        page("bad", "xxxx " * 60, "abcd efgh", seconds=2, finished=False),
        page("table", TABLE.format(1), TABLE.format(3), reference_regions=[region(1, 1, 9, 9, label="table")]),
        page(HOSTILE, HOSTILE, HOSTILE + "!", regions=[region(20, 50, 180, 90, label=HOSTILE, text=HOSTILE)]),
    ]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        opened = open_browser(playwright)
        if opened is None:
            pytest.skip("no Chromium on this machine: install chromium, or run python -m playwright install chromium")
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """An evaluation, a comparison, and an evaluation whose images lie beside it."""
    folder = tmp_path_factory.mktemp("reports")
    lines = pages()

    def image(line):
        return noise((200, 300), 60)

    write_report(lines, summarize_with_intervals(lines, samples=50), folder / "one.html", image, HOSTILE)
    changes = {2: {"prediction": "abcd efgh", "finished": True}, 0: {"prediction": "abcd"}}
    after = [replace(line, **changes.get(number, {})) for number, line in enumerate(lines)]
    write_comparison(
        lines, after, compare(lines, after, samples=50), folder / "two.html", ("old " + HOSTILE, "new"), image
    )
    limit, report_images.MAX_BYTES = report_images.MAX_BYTES, 1000
    write_report(lines, summarize_with_intervals(lines, samples=50), folder / "beside.html", image)
    report_images.MAX_BYTES = limit
    return folder


@pytest.fixture
def opened(browser, reports):
    """Opens a report in a fresh browser; at the end nothing was fetched, nothing executed, nothing complained."""
    seen = SimpleNamespace(errors=[], requests=[])
    contexts = []

    def open_report(name="one.html", width=1300, height=900, scheme="light", fragment=""):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(5000)
        tab.on("console", lambda message: seen.errors.append(message.text))
        tab.on("pageerror", lambda error: seen.errors.append(str(error)))
        tab.on("dialog", lambda dialog: seen.errors.append(dialog.message))
        tab.on("request", lambda request: seen.requests.append(request.url))
        tab.goto((reports / name).as_uri() + fragment)
        return tab

    open_report.seen = seen
    yield open_report
    for context in contexts:
        for tab in context.pages:
            assert tab.evaluate("window.hacked") is None
            assert tab.locator("main img:not([src^='data:']):not([src*='_images/'])").count() == 0
        context.close()
    assert seen.errors == []
    assert [url for url in seen.requests if not url.startswith(("file://" + str(reports), "data:"))] == []


def names(tab):
    return tab.locator(".row .name").all_text_contents()


def test_it_opens_with_the_worst_page(opened):
    tab = opened()
    assert tab.locator("h1").inner_text() == HOSTILE
    assert names(tab) == ["bad", "fair", HOSTILE, "table", "good"]
    expect(tab.locator("#page-name")).to_have_text("bad")
    expect(tab.locator(".detail-head .chip")).to_have_text(["ends in a loop", "never ends"])
    assert tab.locator(".tile dt").all_inner_texts()[0] == "Text accuracy ↑"
    assert "–" in tab.locator(".tile .interval").first.inner_text()
    assert tab.locator(".histogram").count() == 4
    assert tab.locator("#page img").evaluate("image => image.naturalWidth") == 200
    assert tab.locator(".example b").all_inner_texts() == ["Worst", "Median", "Best"]
    tab.locator(".example").nth(2).click()
    expect(tab.locator("#page-name")).to_have_text("good")


def test_sorted(opened):
    tab = opened()
    tab.locator("#direction").click()
    assert names(tab)[0] == "good" and tab.locator("#direction").inner_text() == "Best first"
    tab.locator("#direction").click()
    tab.select_option("#sort", "inference_time")
    assert names(tab)[:2] == ["good", "bad"]
    assert tab.locator(".row .number").first.text_content() == "3.00 s"
    tab.select_option("#sort", "bbox_iou")
    assert names(tab)[0] in ("table", HOSTILE) and names(tab)[-1] in ("good", "bad")
    tab.select_option("#sort", "name")
    assert names(tab)[-3:] == ["fair", "good", "table"]


def test_filtered(opened):
    tab = opened()
    tab.select_option("#label", "title")
    assert names(tab) == ["fair"]
    expect(tab.locator("#count")).to_have_text("1 of 5 pages")
    expect(tab.locator(".box:not(.faint)")).to_have_count(1)
    tab.select_option("#label", "")
    expect(tab.locator(".box.faint")).to_have_count(0)
    tab.check("#marked")
    assert names(tab) == ["bad"]
    tab.uncheck("#marked")
    tab.fill("#search", "GOO")
    assert names(tab) == ["good"]
    tab.fill("#search", "nowhere")
    expect(tab.locator("#page")).to_have_text("No page is like that.")
    tab.fill("#search", "")
    assert len(names(tab)) == 5


def test_boxes_are_toggled_and_tell_what_they_are(opened):
    tab = opened(fragment="#page=good")
    expect(tab.locator("#page-name")).to_have_text("good")
    box, tip = tab.locator(".box.predicted"), tab.locator("#tip")
    place = box.bounding_box()
    tab.mouse.move(place["x"] + 20, place["y"] + 10)
    expect(tip).to_have_text("textpredictedIoU 0.90wordsWords")
    expect(tab.locator(".box.reference")).to_have_class(re.compile("paired"))
    tab.mouse.move(1, 1)
    expect(tip).to_be_hidden()
    tab.uncheck("#predicted")
    expect(box).to_be_hidden()
    tab.uncheck("#reference")
    expect(tab.locator(".box.reference")).to_be_hidden()
    tab.check("#predicted")
    expect(box).to_be_visible()


def test_texts_and_tables(opened):
    tab = opened(fragment="#page=fair")
    expect(tab.locator(".text del")).to_have_text("efgx")
    expect(tab.locator(".text ins")).to_have_text("efgh")
    tab.locator(".row", has_text="table").click()
    grids = tab.locator("table.grid")
    assert grids.nth(0).locator("td").all_inner_texts() == ["Total", "1", "2"]
    assert grids.nth(0).locator("td").first.get_attribute("colspan") == "2"
    assert grids.nth(0).locator("td.extra").inner_text() == "1" and grids.nth(1).locator("td.lost").inner_text() == "3"
    assert tab.locator("table.grid [onclick]").count() == 0
    tab.locator(".raw summary").click()
    assert tab.locator(".raw pre").nth(1).inner_text() == TABLE.format(1)


def test_what_was_read_shows_as_text_and_does_nothing(opened):
    tab = opened()
    tab.locator(".row", has_text="window.hacked").click()
    expect(tab.locator("#page-name")).to_have_text(HOSTILE)
    assert HOSTILE in tab.locator(".text").inner_text()
    place = tab.locator(".box.predicted").bounding_box()
    tab.mouse.move(place["x"] + 5, place["y"] + 5)
    assert tab.locator("#tip b").inner_text() == HOSTILE
    assert tab.locator("main script, main [onerror], #tip script").count() == 0
    blocked = tab.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; return 'executed' } catch (error) { return error.name } }"
    )
    assert blocked == "TypeError"
    assert "requires 'TrustedHTML' assignment" in opened.seen.errors.pop()


def test_themes(opened):
    background = "getComputedStyle(document.body).backgroundColor"
    tab, dark = opened(), opened(scheme="dark")
    light_paper, dark_paper = tab.evaluate(background), dark.evaluate(background)
    assert light_paper != dark_paper
    tab.locator(".segments label", has_text="dark").click()
    assert tab.evaluate(background) == dark_paper
    tab.reload()
    assert tab.evaluate(background) == dark_paper  # remembered
    dark.locator(".segments label", has_text="light").click()
    assert dark.evaluate(background) == light_paper


def test_by_keyboard_alone(opened):
    tab = opened()
    key = tab.keyboard.press
    key("Tab")
    expect(tab.locator(".skip")).to_be_focused()
    key("Enter")
    key("j")
    expect(tab.locator("#page-name")).to_have_text("fair")
    expect(tab.locator(".row[aria-current]")).to_contain_text("fair")
    key("j")
    key("b")
    expect(tab.locator(".box").first).to_be_focused()
    expect(tab.locator("#tip")).to_contain_text("reference")
    key("ArrowRight")
    expect(tab.locator("#tip")).to_contain_text("predicted")
    key("p")
    expect(tab.locator("#predicted")).not_to_be_checked()
    key("k")
    expect(tab.locator("#page-name")).to_have_text("fair")
    key("/")
    tab.keyboard.type("jp")  # letters here, no shortcuts
    expect(tab.locator("#search")).to_have_value("jp")
    key("Escape")
    key("t")
    assert tab.evaluate("document.documentElement.dataset.theme") == "light"
    key("?")
    expect(tab.locator("dialog")).to_be_visible()
    expect(tab.locator("dialog")).to_contain_text("next page")
    key("Escape")
    expect(tab.locator("dialog")).to_be_hidden()
    unnamed = tab.evaluate(
        "() => [...document.querySelectorAll('button, input, select, [role=region]')].filter(node => "
        "!(node.innerText || node.ariaLabel || node.labels?.[0]?.innerText)).map(node => node.outerHTML)"
    )
    assert unnamed == []


@pytest.mark.parametrize("name", ["one.html", "two.html"])
def test_on_a_phone(opened, name):
    tab = opened(name, width=360, height=740)
    assert tab.evaluate("scrollY") == 0
    tab.locator(".all summary").click()
    for row in range(5):
        tab.locator(".row").nth(row).click()
        expect(tab.locator("#page")).to_be_in_viewport()
        assert tab.evaluate("document.documentElement.scrollWidth") == 360


def test_two_evaluations(opened):
    tab = opened("two.html")
    assert names(tab)[0] == "good" and names(tab)[-1] == "bad"
    assert tab.locator(".row .number").last.text_content().endswith("→ 0.0%")
    assert tab.locator(".example b").all_inner_texts() == ["Most worsened", "Median", "Most improved"]
    tab.locator(".row", has_text="bad").click()
    expect(tab.locator("#page .side")).to_have_text(["Before old " + HOSTILE, "After new"])
    assert tab.locator("#page .page-view").count() == tab.locator("#page .text").count() == 2
    first, second = (tab.locator("#page .page-view").nth(side).bounding_box() for side in (0, 1))
    assert first["y"] == second["y"] and second["x"] > first["x"] + first["width"]
    assert "→" in tab.locator(".tile .pair").first.inner_text()
    expect(tab.locator(".tile", has_text="Text accuracy").locator(".chip")).to_have_text(re.compile(r"^\+"))


def test_images_beside_the_report(opened, reports):
    tab = opened("beside.html")
    expect(tab.locator("#page img")).to_have_attribute("src", re.compile("^beside_images/"))
    tab.wait_for_function("document.querySelector('#page img').naturalWidth === 200")


def test_a_selection_says_so(opened, reports):
    lines = [page(f"p{k}", "x" * k + "a" * (40 - k), "a" * 40, seconds=1 + k) for k in range(40)]
    write_report(lines, summarize_with_intervals(lines, samples=50), reports / "some.html", most=30)
    tab = opened("some.html")
    expect(tab.locator("#sample")).to_contain_text("30 of 40 pages are shown")
    expect(tab.locator("#count")).to_have_text("30 pages")
    expect(tab.locator(".headline .note")).to_contain_text("40 pages.")
    assert len(names(tab)) == 30 and names(tab)[0] == "p39"
    assert tab.locator(".example .name").all_inner_texts() == ["p39", "p20", "p0"]
    titles = tab.locator(".histogram").first.locator("rect title").all_text_contents()
    assert sum(int(title.split(": ")[1].split(" ")[0]) for title in titles) == 40  # bars are of all pages
    assert opened().locator("#sample").count() == 0


def test_an_evaluation_of_one_page_and_of_none(opened, reports):
    for count in (0, 1):
        lines = pages()[:count]
        write_report(lines, summarize_with_intervals(lines), reports / f"{count}.html")
        tab = opened(f"{count}.html")
        expect(tab.locator("main")).to_contain_text("There are no pages." if not count else "good")


def test_a_link_to_a_page(opened):
    tab = opened()
    tab.locator(".row", has_text="table").click()
    assert tab.url.endswith("#page=table")
    tab.evaluate(f"location.hash = '#page=' + encodeURIComponent({json.dumps(HOSTILE)})")
    expect(tab.locator("#page-name")).to_have_text(HOSTILE)
