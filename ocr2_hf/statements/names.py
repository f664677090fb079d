"""What the names of lines say, in four languages: numbering and levels, totals, parts of the balance-sheet equation."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Concept = Literal["", "assets", "liabilities", "equity", "liabilities and equity"]

_TOTAL = re.compile(
    r"\b(?:sub-?)?totals?\b|^net assets\b|\bsumm?e\b|\bgesamt\w*|\bbilanzsumme\b|\bzwischensumme\b|"
    r"合计|合計|总计|總計|小计|小計|总额|總額",
    re.IGNORECASE,
)
# Results that an income statement or cash flow arrives at by adding up what stands above.
_RESULT = re.compile(
    r"^(?:gross|operating|net)\s+(?:profit|loss|income|result|earnings|margin)\b|\b(?:profit|loss|income|earnings|result)s?"
    r"(?:\s*[/(]?\s*\(?loss(?:es)?\)?)?\s+(?:before|after|for|from operations)\b|^net cash\b|\bebitda?\b|"
    r"^net (?:profit|income|loss)|betriebsergebnis|ergebnis (?:vor|nach)|jahres(?:überschuss|fehlbetrag|ergebnis)|"
    r"rohergebnis|bruttoergebnis|résultat|marge brute|"
    r"毛利|营业利润|營業利潤|利润总额|淨利|净利润|净利|淨利潤|净额|淨額",
    re.IGNORECASE,
)
# Whose profit it is; no sum.
_ATTRIBUTED = re.compile(
    r"attributable|归属|歸屬|non-controlling|minority|zurechenbar|entfallen|part du groupe", re.IGNORECASE
)
_OF_WHICH = re.compile(
    r"^(?:of which|thereof|including|davon|darunter|dont|其中|包括)\b[:：]?|^其中[:：]?", re.IGNORECASE
)
_LESS = re.compile(r"^(?:less|minus|deduct|abzüglich|abzgl\.?|moins)\b[:：]?|^(?:减|減)[:：]?", re.IGNORECASE)
_PLUS = re.compile(r"^(?:add|plus|zuzüglich|zzgl\.?)\b[:：]?|^加[:：]?", re.IGNORECASE)
# Costs that some statements print without a sign and subtract.
_COST = re.compile(
    r"cost|expense|tax(?:es|ation)?\b|charge|depreciation|amorti[sz]ation|impairment|aufwand|aufwendungen|kosten|"
    r"steuern|abschreibung|charges|impôts?|dotation|成本|费用|費用|税金|所得税|损失|損失|支出",
    re.IGNORECASE,
)
_SIGNED = re.compile(r"以.?[-－—―].?号")
_PER_SHARE = re.compile(r"per (?:ordinary |common )?share|\beps\b|每股|je aktie|par action", re.IGNORECASE)
# Columns beside the names, by their heads: references to the notes, numbers of the lines.
_HEADS = {
    "note": re.compile(
        r"^(?:notes?|note no\.?|ref\.?|anhang|anm\.?|tz\.?|ziffer|annexes?|notes? annexes?|附注(?:编号)?|附註|"
        r"注释|註)[:.]?$",
        re.IGNORECASE,
    ),
    "number": re.compile(r"^(?:行次|行号|序号|line no\.?|lfd\.? nr\.?|nr\.|no\.)$", re.IGNORECASE),
}

_OWNERS = r"(?:所有者权益|股东权益|所有者權益|股東權益|权益|權益)(?:[(（][^)）]*[)）])?"
_EQUITY_EN = (
    r"(?:shareholder|stockholder|owner|member|partner)s?['’]?s?['’]?\s+(?:equity|deficit|funds)|equity|"
    r"capital and reserves"
)
# The whole name, without numbering and punctuation. Order matters: the longer names hold the shorter.
_CONCEPTS: dict[Concept, str] = {
    "liabilities and equity": (
        rf"total\s+(?:liabilities(?:,.*)?\s*(?:and|&)\s*.*(?:{_EQUITY_EN}).*|(?:{_EQUITY_EN})\s*(?:and|&)\s*liabilities)|"
        rf"(?:负债|負債)(?:和|及|与|與){_OWNERS}(?:总计|合计|總計|合計|总额|總額)|"
        rf"{_OWNERS}(?:和|及|与)(?:负债|負債)(?:总计|合计|總計|合計)|"
        r"(?:summe|gesamt)\s*(?:der\s+)?passiva|passiva(?:,?\s*gesamt)?|"
        r"summe eigenkapital und (?:schulden|verbindlichkeiten)|"
        r"total\s+(?:du\s+|général\s+(?:du\s+)?)?passif|total (?:des )?capitaux propres et (?:du )?passifs?"
    ),
    "assets": (
        r"(?:total\s+)?assets|(?:资产|資產)(?:总计|总额|總計|總額|合计|合計)|bilanzsumme|aktiva(?:,?\s*gesamt)?|"
        r"(?:summe|gesamt)\s*(?:der\s+)?(?:aktiva|vermögenswerte)|total général actif|"
        r"total\s+(?:de\s+l['’])?actifs?"
    ),
    "liabilities": (
        r"(?:total\s+)?liabilities|(?:负债|負債)(?:合计|总计|合計|總計|总额|總額)|summe\s+(?:der\s+)?(?:schulden|verbindlichkeiten|"
        r"fremdkapital)|total\s+(?:des\s+)?(?:dettes|passifs exigibles)"
    ),
    "equity": (
        rf"(?:total\s+)?(?:{_EQUITY_EN})|{_OWNERS}(?:合计|总计|合計|總計|总额|總額)|(?:summe\s+)?eigenkapital|"
        r"(?:total\s+(?:des\s+)?)?capitaux propres"
    ),
}

_NUMBERINGS = (
    ("zh", re.compile(r"^[一二三四五六七八九十]+\s*[、.．]\s*")),
    ("(zh)", re.compile(r"^[(（][一二三四五六七八九十]+[)）]\s*[、.]?\s*")),
    ("I.", re.compile(r"^[IVX]+\.\s*(?=\D)")),
    ("A.", re.compile(r"^[A-H]\.\s+")),
    ("1.1", re.compile(r"^\d{1,2}\.\d{1,2}\.?\s+(?=\D)")),
    ("1.", re.compile(r"^\d{1,2}\s*[.、．]\s*(?=[^\d\s])")),
    ("(1)", re.compile(r"^[(（]\d{1,2}[)）]\s*(?=\D)")),
    ("a)", re.compile(r"^\(?[a-h]\)\s+")),
    ("-", re.compile(r"^[-–—•]\s+(?=\w)")),
)


@dataclass(frozen=True)
class Name:
    """A line's name taken apart: `text` as printed, `plain` without numbering, words of sign and punctuation.

    `numbering` is the kind of its number ("I.", "1.", "a)", "zh" for 一、), "" where it has none; `sign` is -1 after
    "less", 减; `adjusts` that such a word, or one for adding, stands before it.
    """

    text: str
    plain: str
    numbering: str = ""
    is_total: bool = False
    is_result: bool = False
    of_which: bool = False
    sign: int = 1
    adjusts: bool = False
    is_cost: bool = False
    per_share: bool = False
    concept: Concept = ""

    @property
    def is_balance_total(self) -> bool:
        """Whether it is the total of one side of a balance sheet."""
        return self.concept in ("assets", "liabilities and equity")


def read_name(text: str) -> Name:
    """The name of a line, as its first cell has it."""
    plain = " ".join(unicodedata.normalize("NFKC", text).split())
    numbering, plain = _take_numbering(plain)
    of_which, less, plus = (bool(pattern.search(plain)) for pattern in (_OF_WHICH, _LESS, _PLUS))
    for pattern in (_OF_WHICH, _LESS, _PLUS):
        plain = pattern.sub("", plain).strip()
    later, plain = _take_numbering(plain)
    plain = plain.strip(" :：.*")
    found = (concept for concept, pattern in _CONCEPTS.items() if re.fullmatch(pattern, plain, re.IGNORECASE))
    return Name(
        text,
        plain,
        numbering or later,
        is_total=bool(_TOTAL.search(plain)),
        is_result=bool(_RESULT.search(plain)) and not _ATTRIBUTED.search(plain),
        of_which=of_which,
        sign=-1 if less else 1,
        adjusts=less or plus,
        # 信用减值损失（损失以“-”号填列）: a loss has its sign already.
        is_cost=bool(_COST.search(plain)) and not _SIGNED.search(plain),
        per_share=bool(_PER_SHARE.search(plain)),
        concept=next(found, ""),
    )


def head_kind(text: str) -> Literal["note", "number", ""]:
    """What the head of a column says that it holds: references to the notes, or numbers of the lines; else ""."""
    plain = unicodedata.normalize("NFKC", text).strip()
    return next((kind for kind, pattern in _HEADS.items() if pattern.fullmatch(plain)), "")


def line_levels(names: Sequence[Name], indents: Sequence[int]) -> tuple[list[int], str]:
    """(level of each line, 0 outermost; what told them: "spaces", "numbering" or "").

    Spaces before the names go before their numbering. Where neither is there all levels are 0.
    """
    if len(set(indents)) > 1:
        rank = {indent: level for level, indent in enumerate(sorted(set(indents)))}
        return [rank[indent] for indent in indents], "spaces"
    kinds = list(dict.fromkeys(name.numbering for name in names if name.numbering))
    if kinds and not (len(kinds) == 1 and all(name.numbering for name in names)):
        return _by_numbering(names, kinds), "numbering"
    return [0] * len(names), ""


def _take_numbering(text: str) -> tuple[str, str]:
    for kind, pattern in _NUMBERINGS:
        match = pattern.match(text)
        if match and match.end() < len(text):
            return kind, text[match.end() :].strip()
    return "", text


def _by_numbering(names: Sequence[Name], kinds: Sequence[str]) -> list[int]:
    """A kind of numbering lies below those that came before it (A., I., 1. or 一、, （一）, 1.).

    What has no number lies below the last line that has one, totals and what is added or taken away (加, 减, less)
    beside it.
    """
    levels, numbered, base = [], 0, 0
    for name in names:
        is_sum = name.is_total or name.is_result or name.concept
        if name.numbering:
            numbered = kinds.index(name.numbering)
            base = numbered + 1
        elif name.adjusts and not is_sum:
            base = numbered
        levels.append(numbered if name.numbering or is_sum else base)
    return levels
