"""HTML of unknown origin, in the encoding that it declares: XHTML is read as XML, and what is no XML as HTML."""

import re
from typing import Any

from lxml import etree

from data_scripts.formats.text_files import marked_encoding
from data_scripts.formats.xml_text import BrokenXML, parse_xml
from ocr2_hf.document.records import RecordError

_DOCTYPE = re.compile(r"<!DOCTYPE[^<>\[\]]*>", re.IGNORECASE)
_DECLARED = re.compile(rb"""(?:encoding|charset)\s*=\s*["']?([\w.:-]+)""")
_DECLARED_BYTES = 2048
# Of text, and quick: Python has codecs of other kinds too.
_ENCODINGS = re.compile(
    r"utf-?8|utf-?16([lb]e)?|(us-)?ascii|latin-?1|iso-?8859-\d+|(windows-|cp)125\d|koi8-[ru]"
    r"|gbk|gb2312|gb18030|big5|shift[-_]jis|euc-(jp|kr)"
)


def parse_html(data: bytes) -> Any:
    """The root element, of `xml.etree` or of `lxml`, names without namespaces; `RecordError` where there is none."""
    text = _DOCTYPE.sub("", _decoded(data), count=1)
    try:
        return parse_xml(text)
    except BrokenXML:
        return _parse_no_xml(text)


def _decoded(data: bytes) -> str:
    encoding = marked_encoding(data)
    if encoding is None:
        declared = _DECLARED.search(data[:_DECLARED_BYTES])
        encoding = declared[1].decode("ascii", "replace").lower() if declared else "utf-8"
        if not _ENCODINGS.fullmatch(encoding):
            raise RecordError(f"annotation has the encoding {encoding[:40]!a}, which is not known")
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise RecordError(f"annotation cannot be decoded: {error}") from error


def _parse_no_xml(text: str) -> Any:
    if "\0" in text:
        raise RecordError(f"annotation has a null character at offset {text.index(chr(0))}")
    folded = text.lower()
    for tag in ("html", "body"):
        if folded.rfind(f"</{tag}") < folded.rfind(f"<{tag}"):
            raise RecordError(f"annotation is cut off: it is no XML, and has no </{tag}> at its end")
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.LxmlError as error:
        raise RecordError(f"annotation is broken HTML: {error}") from error
    fatal = [entry for entry in parser.error_log if entry.level_name == "FATAL"]
    if root is None or fatal:
        raise RecordError(f"annotation is broken HTML: {fatal[0].message if fatal else 'it has no element'}")
    return root
