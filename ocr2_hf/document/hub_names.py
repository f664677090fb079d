"""How the Hub names its repositories: ORG/NAME."""

import re
from pathlib import Path

HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")


def hub_id(name: str | None) -> str | None:
    """`name` where it is a Hub id and no path on this machine."""
    return name if name and HUB_ID.fullmatch(name) and not Path(name).exists() else None
