"""How the pages of a build are read and checked."""

from dataclasses import dataclass, field

from data_scripts.label_map import LabelMap


@dataclass(frozen=True)
class PageOptions:
    """`level` is one that the format has, or None; `full_check` decodes every pixel; `tokenizer`, a folder or Hub id,
    has every page measured in its tokens."""

    format: str = "json"
    level: str | None = None
    label_map: LabelMap = field(default_factory=dict)
    full_check: bool = False
    tokenizer: str | None = None
