"""Build a dataset from a folder of annotated pages: `ocr2 build` is `python data_scripts/build_dataset.py`."""

from functools import partial

from data_scripts import build_dataset

main = partial(build_dataset.main, prog="ocr2 build")
