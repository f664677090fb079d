"""Cut the regions out of a built dataset's pages: `ocr2 crop` is `python data_scripts/crop_regions.py`."""

from functools import partial

from data_scripts import crop_regions

main = partial(crop_regions.main, prog="ocr2 crop")
