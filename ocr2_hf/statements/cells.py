"""Text that a spreadsheet must not take for a formula."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def guarded(text: str) -> str:
    """For CSV: an apostrophe before what a spreadsheet would run as a formula when it opens the file (OWASP, CSV
    injection). XLSX cells have a type and need none."""
    return f"'{text}" if text.startswith(_FORMULA) else text
