"""What other people's datasets call the columns of page records: image=scan,text=transcription."""

from ocr2_hf.errors import UsageError

# Those of `FEATURES` (`ocr2_hf.data.columns`) that a dataset brings; the others are counted and measured where it lacks
# them.
BROUGHT = ("image", "text", "bboxes", "labels", "texts", "prompt", "target")

COLUMNS_HELP = "what a dataset of others calls its columns: image=scan,text=transcription"


def parse_columns(value: str) -> dict[str, str]:
    """Column of a page record -> its name elsewhere, from "image=scan,text=transcription". Raises `UsageError`."""
    columns: dict[str, str] = {}
    for part in value.split(","):
        wanted, _, column = map(str.strip, part.partition("="))
        if wanted not in BROUGHT or not column:
            raise UsageError(
                f"columns: {part!r} is no COLUMN=NAME, as in image=scan,text=transcription; "
                f"a COLUMN is one of {', '.join(BROUGHT)}"
            )
        if wanted in columns or column in columns.values():
            raise UsageError(f"columns: {value!r} names {wanted if wanted in columns else column} twice")
        columns[wanted] = column
    return columns
