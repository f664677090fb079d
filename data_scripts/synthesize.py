"""Draw annotated pages: a folder of images and annotations with exact boxes, for tests, demos and training.

    ocr2 synthesize receipts_raw --kind receipts --pages 1000 --seed 1 --damage 0.3
    ocr2 build receipts --annotations receipts_raw

Kinds: receipts; statements (balance sheets and income statements whose sums are right, tables as HTML and, under
"cells" in the annotation, with a box for every cell); articles (two columns with headings, paragraphs, formulas as
LaTeX, a table and a figure, in reading order); and, for the tiny base of recipes/tiny, typed, tickets, small_statements
(a table of amounts that add up), primer and ragged. In Chinese with --language zh and a font that has it:

    ocr2 synthesize zh_raw --kind statements --pages 100 --language zh --font NotoSansCJK-Regular.ttc

The same seed gives the same bytes, and a page does not depend on how many there are. A folder that was begun
is completed by the same command.
"""

import argparse
import hashlib
import json
import random
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # the package of this checkout, also where none or another is installed
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tqdm import tqdm

from data_scripts.arguments import count, page_size, script_parser, share
from data_scripts.synthetic.articles import draw_article
from data_scripts.synthetic.damage import damage_image, damage_page
from data_scripts.synthetic.fonts import Fonts, find_font, load_fonts
from data_scripts.synthetic.language import LANGUAGES, letters, load_words
from data_scripts.synthetic.receipts import draw_receipt
from data_scripts.synthetic.slips import draw_primer, draw_ragged, draw_small_statement, draw_ticket, draw_typed
from data_scripts.synthetic.statements import draw_statement
from ocr2_hf.data.tasks import marked_page
from ocr2_hf.document.atomic_files import whole_file, write_whole
from ocr2_hf.document.folder_lock import folder_lock
from ocr2_hf.document.output_folder import check_own_folder
from ocr2_hf.errors import UsageError, run_command, writing_to

_SHEET, _SLIP = (1240, 1754), (192, 192)
# What draws a page of each kind, and its size in pixels where none is asked for.
KINDS = {
    "receipts": (draw_receipt, (384, 512)),
    "statements": (draw_statement, _SHEET),
    "articles": (draw_article, _SHEET),
    "typed": (draw_typed, _SLIP),
    "primer": (draw_primer, _SLIP),
    "ragged": (draw_ragged, _SLIP),
    "tickets": (draw_ticket, _SLIP),
    "small_statements": (draw_small_statement, _SLIP),
}

# The settings that a folder was made with; also the sign that it is ours to write into.
SETTINGS_FILE = "synthesize.json"


def main(argv: list[str] | None = None, prog: str | None = None) -> int:
    """Draw the pages that are not there yet; `prog` is what --help calls the program.

    Raises `UsageError` where the call is wrong, `WorkError` where the disk fails.
    """
    args = parse_arguments(argv, prog)
    words = load_words(args.language)
    args.font = args.font and [find_font(font) for font in args.font]
    fonts = [load_fonts(font, letters(words), words.face) for font in args.font or [None]]
    args.draw(random.Random(0), *args.size, fonts[0], words)  # refuses a page too small before there is a folder
    with folder_lock(args.out_dir), writing_to(args.out_dir):
        draw_pages(args, fonts)
    print(f"{args.pages} pages of {args.kind} in {args.out_dir}")
    print(f"next: ocr2 build {args.kind} --annotations {args.out_dir}")
    return 0


def parse_arguments(argv: list[str] | None, prog: str | None = None) -> argparse.Namespace:
    """The arguments of a drawing, with what draws a page and its size; status 2 where they are wrong."""
    parser = script_parser(__doc__, prog)
    add = parser.add_argument
    add("out_dir", type=Path, help="takes images/ and annotations/; new, empty, or begun by the same command")
    add("--kind", choices=KINDS, required=True)
    add("--pages", type=count, required=True)
    add("--seed", type=int, default=0)
    add("--language", choices=LANGUAGES, default="en", help="zh needs a --font (default en)")
    sizes = ", ".join("{} {}x{}".format(kind, *size) for kind, (_, size) in KINDS.items())
    add("--size", type=page_size, metavar="WIDTHxHEIGHT", help=f"pixels (default: {sizes})")
    add(
        "--font",
        type=Path,
        nargs="+",
        help=".ttf, .otf or .ttc files, or installed ones' names, one for each page (default: Pillow's own)",
    )
    add(
        "--damage",
        type=share,
        default=0.0,
        help="0 to 1: rotation, blur, noise, JPEG, paper colour, and stamps on some (default 0)",
    )
    text_only = "image and text alone: NAME.txt, with marks before headings, instead of the regions in NAME.json"
    add("--text_only", action="store_true", help=text_only)
    args = parser.parse_args(argv)
    args.draw, size = KINDS[args.kind]
    args.size = args.size or size
    return args


def page_settings(args: argparse.Namespace) -> dict[str, Any]:
    """All that a page of a given number depends on."""
    font = " ".join(hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in args.font or []) or "pillow"
    named = {name: getattr(args, name) for name in ("kind", "language", "seed")}
    text_only = {"text_only": True} if args.text_only else {}
    return named | {"size": "{}x{}".format(*args.size), "font": font, "damage": args.damage} | text_only


def annotation_file(args: argparse.Namespace, number: int) -> Path:
    """Where the annotation of a page goes."""
    return args.out_dir / "annotations" / f"{number:06d}{'.txt' if args.text_only else '.json'}"


def prepare_folder(folder: Path, settings: dict[str, Any], pages: int, suffix: str) -> None:
    """Make the folder, or see that it was begun with these settings; `UsageError` where it was not."""
    marker = folder / SETTINGS_FILE
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder")
    if marker.is_file():
        made = json.loads(marker.read_text())
        pairs = {key: (made.get(key, False), settings.get(key, False)) for key in [*settings, *made]}
        other = [f"{key} {old}, not {new}" for key, (old, new) in pairs.items() if old != new]
        if other:
            raise UsageError(f"{folder} was made with other settings ({'; '.join(other)}): name another folder")
        there = sum(1 for _ in folder.glob(f"annotations/*{suffix}"))
        if there > pages:
            raise UsageError(f"{folder} already has {there} pages, more than --pages {pages}: name another folder")
    check_own_folder(folder, [marker.name], (), "synthesis")
    write_whole(marker, json.dumps(settings, indent=1))
    for part in ("images", "annotations"):
        (folder / part).mkdir(exist_ok=True)


def draw_pages(args: argparse.Namespace, fonts: list[Fonts]) -> None:
    """Draw what of the folder is not there yet."""
    prepare_folder(args.out_dir, page_settings(args), args.pages, annotation_file(args, 0).suffix)
    for number in tqdm(range(args.pages), desc="drawing", unit=" pages"):
        if not annotation_file(args, number).exists():
            draw_page(args, fonts, number)


def draw_page(args: argparse.Namespace, fonts: list[Fonts], number: int) -> None:
    """Write the image of page `number`, then its annotation: where that is there, the page is complete."""
    rng = random.Random(f"{args.kind}/{args.seed}/{number}")
    # With one font nothing is drawn by lot, so pages are those of earlier versions.
    chosen = fonts[0] if len(fonts) == 1 else rng.choice(fonts)
    page = args.draw(rng, *args.size, chosen, load_words(args.language))
    if args.damage:
        damage_page(page, rng, args.damage)
    image = page.image()
    if args.damage:
        image = damage_image(image, rng, args.damage)
    with whole_file(args.out_dir / "images" / f"{number:06d}.png") as beside:
        image.save(beside, "PNG", compress_level=1 if args.damage else 6)  # noise takes long to compress, and in vain
    annotation = page.annotation()
    written = marked_page(annotation)[1] if args.text_only else json.dumps(annotation, indent=1)
    write_whole(annotation_file(args, number), written)


if __name__ == "__main__":
    sys.exit(run_command(main))
