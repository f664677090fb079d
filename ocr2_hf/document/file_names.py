"""Names of files that disks take."""

import hashlib
import os

_NAME_BYTES = 200  # file systems end at 255, and names get suffixes such as .page-12345.figure-12.png


def short_name(name: str) -> str:
    """A file's name that leaves room for suffixes: a long one is cut, and a digest of it tells it from others."""
    encoded = os.fsencode(name)
    if len(encoded) <= _NAME_BYTES:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    return f"{encoded[: _NAME_BYTES - 9].decode(errors='ignore')}-{digest}"
