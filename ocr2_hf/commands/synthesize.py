"""Draw annotated pages: `ocr2 synthesize` is `python data_scripts/synthesize.py`."""

from functools import partial

from data_scripts import synthesize

main = partial(synthesize.main, prog="ocr2 synthesize")
