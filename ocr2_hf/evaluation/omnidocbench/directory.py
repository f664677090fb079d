"""The predictions of a directory: one markdown file a page, named like the page's image.

Source: dataset/end2end_dataset.py of the official scorer (`get_matched_elements`) for the names that are looked for.
"""

from collections.abc import Sequence
from pathlib import Path

from ocr2_hf.errors import UsageError, WorkError
from ocr2_hf.evaluation.omnidocbench.ground_truth import Page


def prediction_files(pages: Sequence[Page], directory: Path) -> list[Path | None]:
    """The file of each page: STEM.md, STEM without ".pdf" as .mmd or .md, or IMAGE.md; None where there is none.

    `UsageError` when the directory is none, `WorkError` when it has no page at all.
    """
    if not directory.is_dir():
        what = "is a file; with --omnidocbench it" if directory.exists() else "does not exist; it"
        raise UsageError(f"--predictions {directory} {what} is the directory of the predicted .md files")
    names = {file.name for file in directory.iterdir() if file.is_file()}
    files = [_file_of(page, directory, names) for page in pages]
    if not any(files):
        markdown = sorted(name for name in names if name.endswith((".md", ".mmd")))
        found = f"{len(markdown)} .md files, {markdown[0]} the first," if markdown else "no .md file"
        raise WorkError(
            f"{directory} has {found} and none is of a page; that of {pages[0].image} is {pages[0].stem}.md"
        )
    return files


def read_markdown(file: Path) -> str:
    """The predicted page. `WorkError` when it is no UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkError(f"{file} cannot be read as UTF-8: {error}") from error


def _file_of(page: Page, directory: Path, names: set[str]) -> Path | None:
    plain = page.stem.replace(".pdf", "")
    candidates = (f"{page.stem}.md", f"{plain}.mmd", f"{plain}.md", f"{page.image}.md")
    return next((directory / name for name in candidates if name in names), None)
