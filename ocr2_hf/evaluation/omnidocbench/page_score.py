"""One page scored: the pairs of reference and prediction, and the edits of each.

Source: dataset/end2end_dataset.py (`process_get_matched_elements`, `get_order_paired`, `get_matched_elements`),
utils/match.py (`match_gt2pred_simple` for tables), metrics/table_metric.py and metrics/cal_metric.py of the official
scorer.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bs4 import BeautifulSoup
from lxml.html import HtmlElement
from rapidfuzz.distance import Levenshtein

from ocr2_hf.evaluation.omnidocbench.ground_truth import FORMULA, BenchmarkPage, BenchmarkTable
from ocr2_hf.evaluation.omnidocbench.markdown import Kind, PredictedBlock, blocks_to_match, parse_markdown
from ocr2_hf.evaluation.omnidocbench.matching import Match, match_blocks
from ocr2_hf.evaluation.omnidocbench.normalization import clean_text, latex_to_unicode, normalize_table, normalize_text
from ocr2_hf.evaluation.pairing import best_pairs, text_distances
from ocr2_hf.evaluation.robustness import ends_in_loop, invented_characters
from ocr2_hf.evaluation.tables import TableTree, parse_table, signed_similarity

# Short blocks, numbers and labels, come again on many pages.
_SHORTEST_REPEAT = 20


@dataclass(frozen=True)
class Edits:
    """Edits between a prediction and its reference, and the longer one's length."""

    count: int
    length: int


@dataclass
class PageScore:
    """What one page was measured at. `text` leaves out the `unread_formulas`: formulas that were predicted as text.

    `teds` and `teds_s` have one value a table, `formulas` one (reference, prediction) of LaTeX per entry of `formula`.
    What the official scorer does not see: `strict` counts the edits of text as it stands, with blanks and punctuation,
    against the reference's length; `invented` the characters, of all, that are like nothing that is annotated on the
    page; `repeated` the paragraphs, of all, that should not be there.
    """

    image: str
    attributes: dict
    missing: bool
    looping: bool
    empty: bool
    text: list[Edits] = field(default_factory=list)
    unread_formulas: list[Edits] = field(default_factory=list)
    formula: list[Edits] = field(default_factory=list)
    formulas: list[tuple[str, str]] = field(default_factory=list)
    table: list[Edits] = field(default_factory=list)
    teds: list[float] = field(default_factory=list)
    teds_s: list[float] = field(default_factory=list)
    order: list[Edits] = field(default_factory=list)
    strict: Edits = Edits(0, 0)
    invented: Edits = Edits(0, 0)
    repeated: Edits = Edits(0, 0)


def score_page(page: BenchmarkPage, markdown: str | None) -> PageScore:
    """Score a page; None where nothing was predicted for it, which is scored like an empty page and marked."""
    text = markdown or ""
    predicted = parse_markdown(text)
    pairs, cells = match_tables(page.tables, predicted)
    matches = match_blocks(page.blocks, [*blocks_to_match(predicted), *cells])
    score = PageScore(page.image, page.attributes, markdown is None, ends_in_loop(text), not text.strip())
    for pair in pairs:
        _add_table(score, *pair)
    for match in matches:
        if match.category == FORMULA:
            _add_formula(score, match)
    texts = [match for match in matches if match.category != FORMULA]
    score.text = [_edits(match.normalized_prediction, match.normalized_reference) for match in texts]
    score.order = _order_edits(texts)
    edits = sum(Levenshtein.distance(match.prediction, match.reference) for match in texts)
    score.strict = Edits(edits, sum(len(match.reference) for match in texts))
    annotated = [*(block.content for block in page.blocks), *(table.html for table in page.tables)]
    score.invented = Edits(*invented_characters(text, "\n".join(annotated)))
    score.repeated = _repeated(page, predicted)
    return score


def match_tables(
    tables: Sequence[BenchmarkTable], predicted: Sequence[PredictedBlock]
) -> tuple[list[tuple[str, str]], list[PredictedBlock]]:
    """Each reference table with the HTML predicted for it ("" for none), and the cells of the predicted tables left.

    By edit distance of the HTML as it stands, optimally. On a page where LaTeX tables outnumber HTML tables nothing
    counts as predicted. Without a reference table the predicted ones are no text either.
    """
    html = [block for block in predicted if block.kind is Kind.HTML_TABLE]
    latex = [block for block in predicted if block.kind is Kind.LATEX_TABLE]
    if len(latex) > len(html):
        return [(table.html, "") for table in tables if table.html and table.latex], []
    references = [table.html for table in tables if table.html]
    if not references:
        return [], []
    column_of = dict(best_pairs(text_distances(references, [block.content for block in html])))
    contents = [html[column_of[row]].content if row in column_of else "" for row in range(len(references))]
    left = [block for column, block in enumerate(html) if column not in column_of.values()]
    return list(zip(references, contents)), [cell for block in left for cell in _cells(block)]


def _cells(table: PredictedBlock) -> list[PredictedBlock]:
    """The cells of plain text as blocks of text, all where the table begins."""
    strings = [cell.string for cell in BeautifulSoup(table.content, "html.parser").find_all("td")]
    contents = [re.sub(r"\$\\cdot\$", "", string).strip() for string in strings if string]
    return [PredictedBlock(Kind.TEXT, content, table.position) for content in contents]


def _add_table(score: PageScore, reference: str, prediction: str) -> None:
    reference = normalize_table(reference) or reference
    prediction = normalize_table(prediction) or prediction
    score.table.append(_edits(prediction, reference))
    tables = [parse_table(html) for html in (prediction, reference)]
    is_whole = all(table is not None and _has_whole_spans(table) for table in tables)
    trees = [TableTree.of_element(table) for table in tables] if is_whole else []
    score.teds.append(signed_similarity(*trees) if is_whole else 0.0)
    score.teds_s.append(signed_similarity(*trees, structure_only=True) if is_whole else 0.0)


def _has_whole_spans(table: HtmlElement) -> bool:
    """Whether the spans of all cells are integers. The official scorer fails on any other and gives the table 0."""
    try:
        return all(int(cell.get(name, 1)) is not None for cell in table.iter("td") for name in ("colspan", "rowspan"))
    except ValueError:
        return False


def _add_formula(score: PageScore, match: Match) -> None:
    """A formula; one whose prediction is text is measured as text, once its reference is in Unicode."""
    if match.kind in (None, Kind.FORMULA, Kind.INLINE_FORMULA):
        score.formula.append(_edits(match.normalized_prediction, match.normalized_reference))
        score.formulas.append((_bare(match.reference), _bare(match.prediction)))
        return
    reference = latex_to_unicode(match.reference)
    reference = match.reference if reference is None else reference
    score.unread_formulas.append(_edits(match.normalized_prediction, clean_text(reference) or reference))


def _bare(latex: str) -> str:
    """LaTeX as CDM is given it: without dollars around it."""
    return latex.strip("$").strip().strip("$").strip()


def _order_edits(matches: Sequence[Match]) -> list[Edits]:
    """Edits between the annotated order of the blocks and that of their predictions; [] on a page without either."""
    reference = sorted(order for match in matches for order in match.orders if order)
    placed = sorted((match for match in matches if match.position is not None), key=lambda match: match.position)
    predicted = [order for match in placed for order in match.orders if order]
    return [_edits(predicted, reference)] if reference or predicted else []


def _repeated(page: BenchmarkPage, predicted: Sequence[PredictedBlock]) -> Edits:
    """Paragraphs that say what an earlier one said, more often than it is annotated, out of all paragraphs."""
    said = [normalize_text(block.content) for block in predicted if block.kind is Kind.TEXT]
    annotated = Counter(normalize_text(block.content) for block in page.blocks)
    times = {text: count for text, count in Counter(said).items() if len(text) >= _SHORTEST_REPEAT}
    return Edits(sum(max(0, count - max(1, annotated[text])) for text, count in times.items()), len(said))


def _edits(prediction: Sequence, reference: Sequence) -> Edits:
    return Edits(Levenshtein.distance(prediction, reference), max(len(prediction), len(reference)))
