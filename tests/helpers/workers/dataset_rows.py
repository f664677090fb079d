"""Print a dataset's rows as JSON, of each image one pixel: NAME SPLIT whole|streaming [COLUMN=NAME,...]"""

import json
import sys

from ocr2_hf import load_dataset
from ocr2_hf.data.column_names import parse_columns

if __name__ == "__main__":
    name, split, how, *columns = sys.argv[1:]
    rows = []
    named = parse_columns(columns[0]) if columns else None
    for row in load_dataset(name, split=split, streaming=how == "streaming", columns=named):
        image = row.pop("image")
        rows.append({**row, "pixels": list(image.convert("RGB").getpixel((5, 7)))})
    print(json.dumps(rows))
