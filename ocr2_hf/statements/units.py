"""Currencies and magnitudes as heads, captions and cells name them."""

import re
import unicodedata
from dataclasses import dataclass

# ISO 4217 where a sign or word stands for one currency alone; "$" and "¥" stand for several and stay as printed.
_SIGNS = {
    "U.S. $": "USD", "US$": "USD", "HK$": "HKD", "NT$": "TWD", "A$": "AUD", "C$": "CAD", "S$": "SGD", "R$": "BRL",
    "NZ$": "NZD",
    "$": "$", "€": "EUR", "£": "GBP", "¥": "¥", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY", "₪": "ILS",
    "人民币": "CNY", "人民幣": "CNY", "港元": "HKD", "港币": "HKD", "港幣": "HKD", "美元": "USD", "欧元": "EUR",
    "歐元": "EUR", "英镑": "GBP", "日元": "JPY", "新台币": "TWD", "新臺幣": "TWD", "新台幣": "TWD", "円": "JPY",
    "元": "CNY", "圆": "CNY",
}  # fmt: skip
_SIGN_OF = {"$": ("USD", "HKD", "TWD", "AUD", "CAD", "SGD", "NZD", "MXN", "CLP", "COP", "ARS"), "¥": ("CNY", "JPY")}
# Units of many currencies, whose name may stand elsewhere.
_WEAK = ("元", "圆", "円")
_CODES = (
    "EUR", "USD", "GBP", "CHF", "JPY", "CNY", "HKD", "TWD", "AUD", "CAD", "NZD", "SGD", "SEK", "NOK", "DKK", "ISK",
    "PLN", "CZK", "HUF", "RON", "BGN", "TRY", "ILS", "INR", "KRW", "THB", "IDR", "MYR", "PHP", "VND", "BRL", "MXN",
    "CLP", "COP", "ARS", "ZAR", "RUB", "UAH", "AED", "SAR", "QAR", "KWD", "EGP", "NGN", "KES",
)  # fmt: skip
_WORDS = {
    r"euros?|d'euros": "EUR", r"(?:u\.?\s?s\.?|american)\s+dollars?": "USD", r"hong kong dollars?": "HKD",
    r"pounds? sterling": "GBP", r"renminbi|rmb|yuan": "CNY", r"japanese yen|yen": "JPY",
    r"swiss francs?|schweizer franken|francs suisses": "CHF", r"indian rupees|rupees": "INR", r"dollars?": "$",
}  # fmt: skip
_MAGNITUDES = {
    r"(?<!\d)'000s?": 10**3, r"000s|thousands?|tausend|tsd\.?|milliers?": 10**3, "千|仟": 10**3,
    r"lakhs?|lacs?": 10**5, r"millions?|mio\.?|mill\.|millionen": 10**6, "百万|百萬|佰万": 10**6,
    r"crores?": 10**7, r"billions?|mrd\.?|milliarden?|milliards?": 10**9, "十亿|十億": 10**9,
    "万|萬": 10**4, "亿|億": 10**8,
}  # fmt: skip
# Letters that are a magnitude only beside a currency (kEUR, T€, £m, US$ bn) or right after a digit (1.2bn).
_LETTERS = {"k": 10**3, "t": 10**3, "m": 10**6, "mn": 10**6, "mm": 10**6, "b": 10**9, "bn": 10**9, "md": 10**9}

_CURRENCY = "|".join(
    (*(re.escape(sign) for sign in sorted(_SIGNS, key=len, reverse=True)), *(rf"\b(?:{word})\b" for word in _WORDS))
)
_CODE = rf"(?<![A-Za-z])(?P<before>[kKTM]|Md)?(?P<code>{'|'.join(_CODES)}|RMB)(?P<after>k|K|m|M|mn|bn)?(?![A-Za-z])"
_MAGNITUDE = "|".join(
    rf"\b(?:{pattern})(?![a-z])" if re.match(r"[a-z0]", pattern) else pattern for pattern in _MAGNITUDES
)
_ATTACHED = (
    r"(?<![A-Za-z])(?:[kKTM]|Md)(?=[€£$¥₹])|(?<=[€£$¥₹])\s?(?:k|m|mn|mm|bn|b)(?![A-Za-z])|"
    r"(?<=[A-Z]{3})\s(?:k|m|mn|bn)(?![A-Za-z])"
)
_TOKEN = re.compile(
    rf"(?-i:{_CODE})|(?P<letter>(?-i:{_ATTACHED}))|(?P<magnitude>{_MAGNITUDE})|(?P<currency>{_CURRENCY})",
    re.IGNORECASE,
)
# What may stand around them in a phrase that says the unit and nothing else.
_FILLERS = re.compile(
    r"\b(?:in|of|the|all|amounts?|figures?|values?|are|is|expressed|presented|stated|shown|reported|unless|otherwise|"
    r"indicated|noted|except|for|per|share|data|and|percentages?|rounded|to|nearest|currency|units?|unit|en|de|d'|"
    r"exprimés?|montants?|sauf|indication|contraire|angaben|alle|beträge|betrag|sofern|nicht|anders|angegeben)\b|"
    r"单位|單位|単位|货币|貨幣|币种|幣種|金额|金額|除特别注明外|除每股数据外|均以|列示|为|以|计",
    re.IGNORECASE,
)
# A full stop ends a phrase, but not after "Mio." or "U.S.".
_SEGMENTS = re.compile(r"[()\[\];,。\n]|(?<!\bmio)(?<!\bmrd)(?<!\btsd)(?<!\.s)\.\s+(?=[A-Z])|:", re.IGNORECASE)
_PERCENT = {"%": "percent", "‰": "per_mille"}


@dataclass(frozen=True)
class Unit:
    """What a value counts: `currency` (ISO 4217, or the sign where it stands for several; None where nothing says it),
    `scale` (1000 for thousands), and the `text` that says so, "" where none does."""

    currency: str | None = None
    scale: int = 1
    text: str = ""


def find_unit(text: str) -> Unit | None:
    """The unit that a caption or a line of the page states, None where it states none.

    Only a phrase that says nothing else counts ("in thousands of euros", "单位：人民币万元"): that a company sold for 3
    million says nothing about its table.
    """
    phrases = [phrase for phrase in _SEGMENTS.split(unicodedata.normalize("NFKC", text)) if _TOKEN.search(phrase)]
    units = [phrase.strip() for phrase in phrases if not re.search(r"\w", _FILLERS.sub(" ", _TOKEN.sub(" ", phrase)))]
    return _unit(", ".join(units)) if units else None


def unit_in_head(text: str) -> Unit | None:
    """The unit in a column's head, beside whatever else it says ("2023 £'000"), None where there is none."""
    plain = unicodedata.normalize("NFKC", text)
    return _unit(plain) if _TOKEN.search(plain) else None


def read_affixes(text: str) -> tuple[str, str | None, int | None, str]:
    """A cell's text without currency, magnitude and percent sign: (rest, currency, scale, kind); kind is "amount",
    "percent" or "per_mille"."""
    currency, scale, kind = None, None, "amount"
    while True:
        text = text.strip()
        if text[-1:] in _PERCENT:
            text, kind = text[:-1], _PERCENT[text[-1]]
            continue
        token = next((m for m in _TOKEN.finditer(text) if m.start() == 0 or m.end() == len(text)), None)
        letter = re.search(r"(?<=\d)\s?(k|m|mn|bn)$", text, re.IGNORECASE)
        if token is None and letter is None:
            return text, currency, scale, kind
        start, end = token.span() if token else letter.span()
        unit = _unit(token[0]) if token else Unit(None, _LETTERS[letter[1].lower()])
        currency, scale = currency or unit.currency, scale or (unit.scale if unit.scale > 1 else None)
        text = text[:start] + text[end:]


def merge_units(*units: Unit | None) -> Unit | None:
    """Currency and scale from the first that says them; a sign of several currencies is made clear by a later one."""
    known = [unit for unit in units if unit]
    if not known:
        return None
    named = [unit.currency for unit in known if unit.currency]
    currency = next((code for code in named if code in _SIGN_OF.get(named[0], ())), named[0]) if named else None
    scale = next((unit.scale for unit in known if unit.scale != 1), 1)
    return Unit(currency, scale, "; ".join(dict.fromkeys(unit.text for unit in known if unit.text)))


def _unit(text: str) -> Unit:
    currency, weak, scale = None, None, 1
    for token in _TOKEN.finditer(text):
        named = "CNY" if token["code"] == "RMB" else token["code"]
        letters = token["letter"] or f"{token['before'] or ''}{token['after'] or ''}"
        scale = max(scale, _LETTERS.get(letters.strip().lower(), 1))
        if token["magnitude"]:
            scale = max(scale, _value_of(token[0], _MAGNITUDES))
        elif token["currency"]:
            named = _SIGNS.get(token[0].upper()) or _value_of(token[0], _WORDS)
        # 元 is a unit of many currencies: 单位：元 币种：美元.
        if token[0] in _WEAK:
            weak = weak or named
        else:
            currency = currency or named
    return Unit(currency or weak, scale, text.strip())


def _value_of(word: str, names: dict):
    return next(value for pattern, value in names.items() if re.fullmatch(pattern, word, re.IGNORECASE))
