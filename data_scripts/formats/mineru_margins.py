"""Headers, footers and other margins of a page, which MinerU leaves out of its Markdown and writes behind the rest."""

from data_scripts.formats.documents import DocumentRegion

MARGINS = ("header", "footer", "page_number", "aside_text", "page_footnote", "header_image", "footer_image", "seal")


def with_margins(regions: list[DocumentRegion], margins: list[DocumentRegion], height: float) -> list[DocumentRegion]:
    """The regions of a page of that height, with its margins before or behind them: those above its middle, and others.

    Some versions do not tell headers from footers: then their place does.
    """
    above, below = [], []
    for region in margins:
        is_above = region.box is not None and region.box[1] + region.box[3] < height
        label = region.label if region.label in MARGINS else "header" if is_above else "footer"
        (above if is_above else below).append(region._replace(label=label))
    return [*above, *regions, *below]
