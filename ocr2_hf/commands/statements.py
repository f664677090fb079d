"""Read financial statements: tables of images and PDFs as typed lines with their sums checked, to JSON, CSV or XLSX.

    ocr2 statements FILE... --model DIR --to json|csv|xlsx [--pages 3-7,9] --output_dir DIR

FILE may be a folder: every image and PDF in it is read, at any depth. Each file gives NAME.statements.json (schema:
ocr2_hf/statements/statements.schema.json), .csv or .xlsx; --to takes several. Sums that do not add up are
listed. A file or page that cannot be read is listed at the end, and the status is 1. Run again, the same command goes
on where it was stopped.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ocr2_hf.commands.arguments import add_generation_flags, command_parser, seconds
from ocr2_hf.commands.outputs import output_folder
from ocr2_hf.commands.reading import answer_settings, check_all_read, check_call, open_reader, print_outcome
from ocr2_hf.decoding import MAX_SECONDS
from ocr2_hf.document.folder_lock import folder_lock
from ocr2_hf.reading.resume_log import fingerprint
from ocr2_hf.statements.files import WRITERS, StatementsOutcome, read_statements, statements_log

if TYPE_CHECKING:
    from ocr2_hf.statements.parser import FinancialStatementParser

ALWAYS = "statements"  # a count that is told whatever it is
STATUSES = ("ok", "off", "not checkable")


def main(argv: list[str] | None = None) -> int:
    """Read the statements of every file, write them and say which sums do not add up."""
    args = _parse(argv)
    output = output_folder(args.output_dir)
    with folder_lock(output):
        _read(args, output)
    return 0


def _read(args: argparse.Namespace, output: Path) -> None:
    inputs = check_call(args, output, "table", ALWAYS)
    from ocr2_hf.statements.parser import FinancialStatementParser
    from ocr2_hf.statements.table_detector import TableTransformer

    # The small model first: what is wrong with it is known before the large one is loaded.
    finder = None if args.detector == "layout" else TableTransformer.from_pretrained(args.detector)
    reader = open_reader(args)
    parser = FinancialStatementParser(reader, finder, args.locate, args.prompt, args.max_new_tokens, args.batch_size)
    formats = list(dict.fromkeys(args.to))
    models = [fingerprint(args.model), fingerprint(args.detector)]
    log = statements_log(output, _settings(args, parser, formats), models, formats)
    outcome = read_statements(parser, inputs.files, log, formats, args.pages)
    _report(outcome, inputs.left_out)
    check_all_read(inputs.failed + outcome.failed)


def _settings(args: argparse.Namespace, parser: "FinancialStatementParser", formats: list[str]) -> dict:
    """What the results depend on."""
    given = answer_settings(args, parser.reader, ("model", "pages", "detector", "locate", "max_new_tokens"))
    return given | {"prompts": [parser.reader.prompts["markdown"], parser.prompt], "to": formats}


def _report(outcome: StatementsOutcome, left_out: int) -> None:
    counts = {"files read": outcome.files, ALWAYS: outcome.statements}
    counts |= {"files read before": outcome.done, "files left out, no images or PDFs": left_out}
    counts |= {f"checks {status}": outcome.statuses[status] for status in STATUSES}
    lists = {
        "sums that do not add up": outcome.off,
        "pages with an answer that was cut off": outcome.cut_off,
        "files without a statement": outcome.empty,
    }
    print_outcome(counts, lists, ALWAYS)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = command_parser("statements", __doc__)
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="images (PNG, JPEG, TIFF, ...), PDFs or folders")
    add("--model", required=True, metavar="DIR|ID")
    add("--to", required=True, nargs="+", choices=WRITERS)
    add("--output_dir", required=True)
    add("--pages", metavar="3-7,9", help="of documents with several pages only these; 12-: to the last")
    add(
        "--detector",
        default="layout",
        metavar="layout|DIR|ID[@REVISION]",
        help="what finds the tables: the model's own layout (default), or a Table Transformer",
    )
    add("--prompt", help="asked about each table in place of the recipe's prompt of the task table")
    add("--locate", action="store_true", help="ask where every figure stands, one more question each")
    add_generation_flags(parser)
    add("--max_seconds", type=seconds, default=MAX_SECONDS, help="cut a batch's answers off after so long; 0: never")
    return parser.parse_args(argv)
