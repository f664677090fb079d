"""Financial statements: balance sheet, income statement, or both, as tables whose sums are right."""

import random
from dataclasses import dataclass

from data_scripts.synthetic.accounts import AccountLine, Accounts, longest
from data_scripts.synthetic.fonts import Fonts
from data_scripts.synthetic.language import Words, amount
from data_scripts.synthetic.page import SyntheticPage
from data_scripts.synthetic.tables import GAP, DrawnTable, TableCell, TableLayout, draw_table, natural_widths
from ocr2_hf.errors import UsageError

SMALLEST_FONT = 9
TIGHTEST_PITCH, WIDEST_PITCH = 1.38, 2.1  # from line to line, in font sizes
HEAD_ROWS = 2
# In lines: header, title (a larger font), date, units, footnotes and the gaps between; and the footer of the page.
LINES_AROUND, PAGE_LINES = 8.5, 4


@dataclass
class DrawnReport:
    """What all statements on a page share."""

    words: Words
    company: str
    scope: int  # of the group, the company...: which of the titles
    date: str
    years: list[int]
    units: str
    has_notes: bool
    restated: bool
    has_heads_in_two: bool


@dataclass
class Frame:
    """Where things stand, in pixels, and how; `y` moves down."""

    fonts: Fonts
    size: int
    pitch: float
    left: float
    right: float
    y: float
    centred: bool
    look: dict


def draw_statement(rng: random.Random, width: int, height: int, fonts: Fonts, words: Words) -> SyntheticPage:
    """One page of statements. Raises `UsageError` where the page is too small for them."""
    kinds, size = _choose_kinds(rng, width, height, fonts, words)
    report = _choose_report(rng, words, periods=rng.choice((2, 2, 3)))
    accounts = Accounts(rng, words, len(report.years))
    statements = {kind: getattr(accounts, kind) for kind in kinds}
    page = SyntheticPage(width, height, between="\n\n", fonts=fonts, stamp_words=words.stamps)
    margin = _margin(width, height)
    lines = sum(len(rows) + HEAD_ROWS + LINES_AROUND for rows in statements.values()) + PAGE_LINES
    pitch = min(size * rng.uniform(1.5, WIDEST_PITCH), (height - 2 * margin) / lines)
    look = {
        "style": rng.choice(("rules", "rules", "grid", "plain")),
        "bold_totals": rng.random() < 0.8,
        "shaded": rng.random() < 0.3,
    }
    frame = Frame(fonts, size, pitch, margin, width - margin, margin, rng.random() < 0.5, look)
    _write_header(rng, page, frame, report)
    for kind, rows in statements.items():
        _write_statement(rng, page, frame, report, kind, rows)
    page.write("footer", [(str(rng.randint(2, 198)), width / 2, height - margin, "ms")], fonts(round(0.9 * size)))
    return page


def _margin(width: int, height: int) -> int:
    return round(0.075 * min(width, height))


def _choose_kinds(
    rng: random.Random, width: int, height: int, fonts: Fonts, words: Words
) -> tuple[tuple[str, ...], int]:
    """Which statements the page shows, and the font size at which the longest of them would fit."""
    rows = longest(words)
    most = round(width * rng.uniform(0.0145, 0.0165))
    wanted = [("balance",), ("income",), ("balance", "income")]
    sizes = {kinds: _font_size(most, kinds, rows, width, height, fonts, words) for kinds in wanted}
    fitting = [kinds for kinds in wanted if sizes[kinds]]
    if ("balance",) not in fitting:
        raise UsageError(
            f"--size: a page of {width}x{height} is too small for a financial statement in letters of "
            f"{SMALLEST_FONT} pixels; about 640x900 is the least"
        )
    kinds = rng.choice(fitting)
    return kinds, sizes[kinds]


def _font_size(most: int, kinds, rows: dict[str, int], width: int, height: int, fonts: Fonts, words: Words) -> int:
    """The largest size up to `most` at which statements of these kinds fit; 0 where none does."""
    margin = _margin(width, height)
    names = (*words.balance.values(), *words.income.values(), *words.non_current_assets, *words.operating_costs)
    lines = sum(rows[kind] + HEAD_ROWS + LINES_AROUND for kind in kinds) + PAGE_LINES
    for size in range(max(most, SMALLEST_FONT), SMALLEST_FONT - 1, -1):
        label = max(fonts(size).getlength(name) for name in names) * 1.06
        amounts = fonts(size).getlength(words.note) + 3 * fonts(size).getlength("(1,999,999) ")
        is_wide = label + amounts + (2 + 5 * GAP) * size <= width - 2 * margin
        if is_wide and size * TIGHTEST_PITCH * lines <= height - 2 * margin:
            return size
    return 0


def _choose_report(rng: random.Random, words: Words, periods: int) -> DrawnReport:
    year = rng.randint(2006, 2029)
    company = words.company.format(name=rng.choice(words.company_names), form=rng.choice(words.company_forms))
    return DrawnReport(
        words,
        company,
        rng.randrange(len(words.balance_titles)),
        rng.choice(words.dates),
        [year - i for i in range(periods)],
        rng.choice(words.units),
        has_notes=rng.random() < 0.8,
        restated=rng.random() < 0.3,
        has_heads_in_two=rng.random() < 0.85,
    )


def _write_header(rng: random.Random, page: SyntheticPage, frame: Frame, report: DrawnReport) -> None:
    font = frame.fonts(round(0.9 * frame.size))
    frame.y += frame.pitch
    words = [
        (report.company, frame.left, frame.y, "ls"),
        (report.words.report.format(year=report.years[0]), frame.right, frame.y, "rs"),
    ]
    page.write("header", words if rng.random() < 0.5 else words[:1], font)
    frame.y += 1.2 * frame.pitch


def _write_statement(
    rng: random.Random, page: SyntheticPage, frame: Frame, report: DrawnReport, kind: str, lines: list[AccountLine]
) -> None:
    words, size = report.words, frame.size
    titles, dated = (
        (words.balance_titles, words.at_date) if kind == "balance" else (words.income_titles, words.for_period)
    )
    x, anchor = ((frame.left + frame.right) / 2, "ms") if frame.centred else (frame.left, "ls")
    frame.y += 1.6 * frame.pitch
    page.write("title", [(titles[report.scope], x, frame.y, anchor)], frame.fonts(round(1.5 * size)), bold=True)
    frame.y += 1.2 * frame.pitch
    date = dated.format(date=report.date, year=report.years[0])
    page.write("sub_title", [(date, x, frame.y, anchor)], frame.fonts(size))
    frame.y += frame.pitch
    page.write("text", [(report.units, frame.right, frame.y, "rs")], frame.fonts(round(0.9 * size)))
    frame.y += 0.5 * frame.pitch
    table = statement_table(kind, lines, report)
    edges = _edges(table, frame, 1 + report.has_notes)
    layout = TableLayout(frame.fonts, size, edges, frame.y, frame.pitch, **frame.look)
    page.regions.append(draw_table(table, layout))
    frame.y = layout.y(len(table.kinds)) + 0.4 * frame.pitch
    footnotes = [rng.choice(words.statement_footnotes)]
    if report.restated:
        footnotes.insert(0, words.restated.format(note=rng.randint(2, 30)))
    for footnote in footnotes:
        frame.y += 0.9 * frame.pitch
        page.write("table_footnote", [(footnote, frame.left, frame.y, "ls")], frame.fonts(round(0.85 * size)))
    frame.y += 0.6 * frame.pitch


def statement_table(kind: str, lines: list[AccountLine], report: DrawnReport) -> DrawnTable:
    """The statement as cells: a head of two rows (or one), then a row per line."""
    periods, words = len(report.years), report.words
    first = 1 + report.has_notes
    table = DrawnTable(columns=first + periods)
    years = [words.year.format(year=year) for year in report.years]
    if report.restated:
        years[-1] += "*"
    over = report.date if kind == "balance" else words.period.format(date=report.date)
    rows = HEAD_ROWS if report.has_heads_in_two else 1
    heads = [TableCell(0, 0, words.head, rowspan=rows)]
    heads += [TableCell(0, 1, words.note, rowspan=rows, align="centre")] * report.has_notes
    dates = [TableCell(0, first + i, year, align="right") for i, year in enumerate(years)]
    if report.has_heads_in_two:
        table.add_row("head", [*heads, TableCell(0, first, over, colspan=periods, align="centre")])
        table.add_row("head", dates)
    else:
        table.add_row("head", [*heads, *dates])
    for line in lines:
        table.add_row(line.kind, _cells(line, first, table.columns, words.nil))
    return table


def _cells(line: AccountLine, first: int, columns: int, nil: str) -> list[TableCell]:
    if line.values is None:
        return [TableCell(0, 0, line.name, colspan=columns, indent=line.indent)]
    cells = [TableCell(0, 0, line.name, indent=line.indent)]
    if first == 2:
        cells.append(TableCell(0, 1, line.note, align="centre"))
    texts = [amount(value, ",") if value else nil for value in line.values]
    return cells + [TableCell(0, first + i, text, align="right") for i, text in enumerate(texts)]


def _edges(table: DrawnTable, frame: Frame, first: int) -> list[float]:
    """Where the columns meet: those of amounts (from `first` on) are equally wide, and the names take the rest."""
    widths = [width + GAP * frame.size for width in natural_widths(table, frame.fonts(frame.size))]
    amounts = widths[first:]
    room = frame.right - frame.left - sum(widths)
    widest = min(max(amounts), (sum(amounts) + room) / len(amounts))
    edges = [frame.right]
    for width in [widest] * len(amounts) + widths[1:first][::-1]:
        edges.insert(0, edges[0] - width)
    return [frame.left, *edges]
