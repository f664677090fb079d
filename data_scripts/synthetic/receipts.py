"""Receipts: a shop, a date, lines of item, quantity and price in columns, a total that adds up, a footer."""

import random
from dataclasses import dataclass

from data_scripts.synthetic.fonts import Fonts
from data_scripts.synthetic.language import Words, money
from data_scripts.synthetic.page import SyntheticPage
from ocr2_hf.errors import UsageError

SMALLEST_FONT = 9
TIGHTEST_PITCH = 1.35  # from line to line, in font sizes
FEWEST_ITEMS, MOST_ITEMS = 3, 9

# Heights in lines: shop (a larger font), date, total, footer, and three gaps of half a line.
FIXED_LINES = 6.5
ADDRESS_LINES = 1
PAYMENT_LINES = 2


@dataclass
class Item:
    """A line of a receipt; `price` is that of one, in cents."""

    name: str
    quantity: int
    price: int

    @property
    def amount(self) -> int:
        """What all of them cost, in cents."""
        return self.quantity * self.price


@dataclass
class Layout:
    """Where things stand, in pixels: `left` edge of the items, right edges of `price` and `amount`."""

    font_size: int
    left: int
    price: int
    amount: int
    top: float
    pitch: float
    items: int
    has_address: bool
    has_payment: bool


class Pen:
    """Writes the lines of a page downwards."""

    def __init__(self, page: SyntheticPage, layout: Layout, fonts: Fonts):
        self._page, self._layout, self._fonts = page, layout, fonts
        self._y = layout.top

    def skip(self, lines: float) -> None:
        """Go down by so many lines."""
        self._y += lines * self._layout.pitch

    def centred(self, label: str, text: str, scale: float = 1.0) -> None:
        """The next line: a region in the middle of the page, its letters scaled."""
        self.skip(scale)
        font = self._fonts(round(self._layout.font_size * scale))
        self._page.write(label, [(text, self._page.width / 2, self._y, "ms")], font)

    def columns(self, name: str, price: str, amount: str) -> None:
        """The next line: a region in columns, of which those of "" are left out."""
        self.skip(1)
        at = self._layout
        words = [(name, at.left, self._y, "ls"), (price, at.price, self._y, "rs"), (amount, at.amount, self._y, "rs")]
        self._page.write("text", [word for word in words if word[0]], self._fonts(at.font_size))


def draw_receipt(rng: random.Random, width: int, height: int, fonts: Fonts, words: Words) -> SyntheticPage:
    """One receipt. Raises `UsageError` where the page is too small for readable lines."""
    layout = _choose_layout(rng, width, height, fonts, words)
    page = SyntheticPage(width, height, fonts=fonts, stamp_words=words.stamps)
    pen = Pen(page, layout, fonts)
    mark = rng.choice(".,")
    pen.centred("title", rng.choice(words.shops), scale=1.5)
    if layout.has_address:
        pen.centred("text", words.address.format(street=rng.choice(words.streets), town=rng.choice(words.towns)))
    pen.centred("text", _date(rng))
    pen.skip(0.5)
    items = [
        Item(name, rng.choice((1, 1, 1, 2, 2, 3, 4, 5, 6)), rng.randrange(40, 1500, 5))
        for name in rng.sample(words.items, layout.items)
    ]
    for item in items:
        pen.columns(item.name, f"{item.quantity} x {money(item.price, mark)}", money(item.amount, mark))
    pen.skip(0.5)
    total = sum(item.amount for item in items)
    pen.columns(words.total, "", money(total, mark))
    if layout.has_payment:
        paid = (total // 500 + 1) * 500
        pen.columns(words.cash, "", money(paid, mark))
        pen.columns(words.change, "", money(paid - total, mark))
    pen.skip(0.5)
    pen.centred("footer", rng.choice(words.footers))
    return page


def _choose_layout(rng: random.Random, width: int, height: int, fonts: Fonts, words: Words) -> Layout:
    margin = round(0.07 * min(width, height))
    room_x, room_y = width - 2 * margin, height - 2 * margin
    size = _font_size(round(width * rng.uniform(0.038, 0.046)), room_x, room_y, fonts, words)
    pitch = min(size * rng.uniform(TIGHTEST_PITCH, 1.6), room_y / (FIXED_LINES + 1))
    room = room_y / pitch - FIXED_LINES + 1e-6
    has_address = room >= ADDRESS_LINES + 2 and rng.random() < 0.7
    room -= ADDRESS_LINES * has_address
    has_payment = room >= PAYMENT_LINES + 2 and rng.random() < 0.5
    room -= PAYMENT_LINES * has_payment
    most = min(MOST_ITEMS, int(room))
    items = rng.randint(min(FEWEST_ITEMS, most), most)
    amount = width - margin
    price = amount - round(fonts(size).getlength("999.99 "))
    top = margin + rng.uniform(0, (room - items) * pitch)
    return Layout(size, margin, price, amount, top, pitch, items, has_address, has_payment)


def _font_size(size: int, width: int, height: int, fonts: Fonts, words: Words) -> int:
    """The largest size up to `size` at which a receipt of one item fits; `UsageError` where none does."""
    longest = max(words.items, key=len) + "  9 x 99.99 999.99 "
    for candidate in range(max(size, SMALLEST_FONT), SMALLEST_FONT - 1, -1):
        is_wide = fonts(candidate).getlength(longest) <= width
        is_high = candidate * TIGHTEST_PITCH * (FIXED_LINES + 1) <= height
        if is_wide and is_high:
            return candidate
    side = "low" if is_wide else "narrow"
    raise UsageError(f"--size: within its margins a page is {width}x{height}, too {side} for a receipt")


def _date(rng: random.Random) -> str:
    year, month, day = rng.randint(2005, 2030), rng.randint(1, 12), rng.randint(1, 28)
    form = rng.choice(("{y}-{m:02d}-{d:02d}", "{d:02d}.{m:02d}.{y}", "{d:02d}/{m:02d}/{y}"))
    return f"{form.format(y=year, m=month, d=day)} {rng.randint(7, 21):02d}:{rng.randrange(60):02d}"
