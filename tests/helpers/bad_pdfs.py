"""PDFs of few bytes that take for ever, all memory or a million pages."""

import zlib


def pdf(*objects: bytes) -> bytes:
    """A document of these objects, numbered from 1; the first is its root."""
    body, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
    end = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(places) + 1, len(body))
    return body + head + table + end


def stream(content: bytes, entries: bytes = b"") -> bytes:
    """A stream object."""
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (entries, len(content), content)


def document(content: bytes, *objects: bytes, pages: int = 1, resources: bytes = b"") -> bytes:
    """A document whose pages all have the stream `content`, object 3; `objects` are from 4 on."""
    first = 4 + len(objects)
    kids = b" ".join(b"%d 0 R" % (first + number) for number in range(pages))
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 3 0 R/Resources<<%s>>>>" % resources
    tree = b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, pages)
    return pdf(b"<</Type/Catalog/Pages 2 0 R>>", tree, content, *objects, *[page] * pages)


def nested_forms(pages: int = 1, depth: int = 12) -> bytes:
    """Every form draws the next one ten times."""
    again = b"/F Do " * 10
    entries = b"/Type/XObject/Subtype/Form/BBox[0 0 200 200]/Resources<</XObject<</F %d 0 R>>>>"
    forms = [stream(again, entries % (4 + number)) for number in range(1, depth)]
    forms.append(stream(b"0 0 9 9 re f", b"/Type/XObject/Subtype/Form/BBox[0 0 200 200]"))
    return document(stream(again), *forms, pages=pages, resources=b"/XObject<</F 4 0 R>>")


def stream_bomb(size: int = 2**30) -> bytes:
    """A page's content of so many blanks, packed twice."""
    packer = zlib.compressobj()
    block = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    same = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = zlib.compress(block + same * ((size >> 20) - 1))  # without its sum, which readers do not ask for
    return document(stream(packed, b"/Filter[/FlateDecode/FlateDecode]"))


def million_pages() -> bytes:
    """One page, said to be a million."""
    return document(stream(b"")).replace(b"/Count 1>>", b"/Count 1000000>>")
