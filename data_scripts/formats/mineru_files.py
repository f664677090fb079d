"""The files that MinerU writes of a document: which of them counts, and which are readings of one document."""

import posixpath

from ocr2_hf.document.records import RecordError

_MIDDLE, _CONTENT = "_middle.json", "_content_list.json"
_BESIDE = ("_model.json", "_content_list_v2.json")
_PACKED = ("layout.json", "middle.json")  # a middle.json that is called so in its folder


def find_documents(names: list[str]) -> dict[str, str]:
    """The path of each document without what MinerU adds to its name -> the file of it that counts."""
    contents = {name[: -len(_CONTENT)]: name for name in names if name.lower().endswith(_CONTENT)}
    folders: dict[str, list[str]] = {}
    for stem in contents:
        folders.setdefault(posixpath.dirname(stem), []).append(stem)
    documents = {}
    for name in names:
        folder, end = posixpath.dirname(name), posixpath.basename(name).lower()
        if end.endswith(_MIDDLE):
            documents[name[: -len(_MIDDLE)]] = name
        elif end in _PACKED and len(folders.get(folder, ())) == 1:
            documents[folders[folder][0]] = name
        elif not end.endswith((_CONTENT, *_BESIDE)):
            documents[name] = name
    return contents | documents


def readings_beside(root: str, documents: dict[str, str]) -> dict[str, RecordError]:
    """What is wrong with documents below `root` that MinerU has read in several ways, each into a folder of NAME/:
    NAME/auto/NAME, NAME/vlm/NAME."""
    ways: dict[str, list[str]] = {}
    for stem in documents:
        folder, name = posixpath.split(f"{root}/{stem}")
        document = posixpath.dirname(folder)
        if posixpath.basename(document) == name:
            ways.setdefault(document, []).append(stem)
    faults: dict[str, RecordError] = {}
    for same in ways.values():
        listed = ", ".join(documents[stem] for stem in same)
        what = f"{len(same)} readings of one document ({listed}): keep one"
        faults |= {stem: RecordError(what) for stem in same if len(same) > 1}
    return faults
