"""Print a dataset's rows as JSON, of each image one pixel: python dataset_rows.py NAME SPLIT whole|streaming"""

import json
import sys

from ocr2_hf import load_dataset

if __name__ == "__main__":
    name, split, how = sys.argv[1:]
    rows = []
    for row in load_dataset(name, split=split, streaming=how == "streaming"):
        image = row.pop("image")
        rows.append({**row, "pixels": list(image.convert("RGB").getpixel((5, 7)))})
    print(json.dumps(rows))
