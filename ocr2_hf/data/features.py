"""The columns of a page record (`ocr2_hf.document.records`) as a built dataset has them: one row a page."""

from datasets import Features, Image, List, Value

FEATURES = Features(
    {
        "id": Value("string"),
        "image": Image(),
        "width": Value("int32"),
        "height": Value("int32"),
        "text": Value("string"),
        "bboxes": List(List(Value("float32"), length=4)),
        "labels": List(Value("string")),
        "texts": List(Value("string")),
        "prompt": Value("string"),
        "target": Value("string"),
    }
)
