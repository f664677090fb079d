"""What a JSON file is, told from its head: the keys that stand there, without parsing the file."""

import re
from collections.abc import Iterator

from data_scripts.file_tree import FileTree, first_heads

HEAD_BYTES = 2**16
_DEEPEST = 6

# A string may be cut off by the end of the head: it is taken whole, or every quote in it would be tried again.
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*+)(?:"(\s*+:)?|\\?\Z)|[{}\[\]]', re.DOTALL)


def first_key_paths(annotations: FileTree, suffix: str) -> Iterator[set[str]]:
    """The key paths in the heads of the folder's first files of that suffix; none of a file that cannot be read."""
    return file_key_paths(annotations.paths(suffix))


def file_key_paths(paths: list[str]) -> Iterator[set[str]]:
    """The same of files by their paths."""
    return (key_paths(head.decode(errors="replace")) for head in first_heads(paths, HEAD_BYTES))


def key_paths(head: str) -> set[str]:
    """Where the keys in the beginning of a JSON text stand: `{"images": [{"id": 1` has .images and .images[].id."""
    found = set()
    open_parts: list[str] = []  # of every open bracket: its key read last, or [] in a list
    for token in _TOKEN.finditer(head):
        if token[0] in "{[":
            open_parts.append("[]" if token[0] == "[" else "")
        elif token[0] in "}]":
            del open_parts[-1:]
        elif token[2] and open_parts:
            open_parts[-1] = f".{token[1]}"
            if len(open_parts) <= _DEEPEST:
                found.add("".join(open_parts))
    return found
