"""The frame of a report: one HTML file with its style, script and data in it.

The data is JSON that no browser executes, and the script builds the page from it as text, never as HTML. The policy
allows this one style and this one script, by their hashes, and no network.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

_ASSETS = Path(__file__).with_name("report_assets")
_SCRIPTS = ("elements", "headline", "histograms", "sheet", "texts", "state", "list", "detail", "report")


def page(title: str, data: Mapping[str, Any], images_beside: bool = False) -> str:
    """A whole HTML document that shows `data` (see `report`). `title` is plain text."""
    style = (_ASSETS / "report.css").read_text(encoding="utf-8")
    parts = "\n".join((_ASSETS / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{parts}\n}})();\n'
    policy = "; ".join(
        (
            "default-src 'none'",
            "img-src data:" + (" 'self' file:" if images_beside else ""),
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        )
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#pages">Skip to the pages</a>
<header class="top">
<h1>{escape(title)}</h1>
<div class="tools" id="tools"></div>
</header>
<main id="main"></main>
<noscript>This report is drawn by a script inside this file: allow scripts for it. It loads nothing and sends
nothing.</noscript>
<script type="application/json" id="data">{_json(data)}</script>
<script>{script}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(data: Mapping[str, Any]) -> str:
    """JSON in which nothing can end the element it stands in, or begin another."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
