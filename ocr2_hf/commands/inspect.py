"""Look at a built dataset before training on it: `ocr2 inspect` is `python data_scripts/inspect_dataset.py`."""

from functools import partial

from data_scripts import inspect_dataset

main = partial(inspect_dataset.main, prog="ocr2 inspect")
