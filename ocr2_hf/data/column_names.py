"""Columns of pages under other names: what `image=scan,text=transcription` says."""

from ocr2_hf.errors import UsageError

# The columns of `ocr2_hf.data.columns.FEATURES` that data may bring under another name; the others are found out.
COLUMNS = ("image", "text", "bboxes", "labels", "texts", "prompt", "target")
COLUMNS_HELP = "what a dataset of others calls its columns: image=scan,text=transcription"


def parse_columns(value: str) -> dict[str, str]:
    """{column: its name in the data} of `KEY=NAME,...`.

    Raises `UsageError` for what is no KEY=NAME, for a KEY that is none of `COLUMNS`, and for a KEY or NAME that is
    there twice.
    """
    columns: dict[str, str] = {}
    for part in value.split(","):
        key, _, name = (side.strip() for side in part.partition("="))
        if not name:
            raise UsageError(f"columns: {part!a} is not KEY=NAME, as in image=scan,text=transcription")
        if key not in COLUMNS:
            raise UsageError(f"columns: {key!a} is none of {', '.join(COLUMNS)}")
        if key in columns or name in columns.values():
            raise UsageError(f"columns: {part!a} names a column that is named before: each once")
        columns[key] = name
    return columns
