"""Room `banners`: banners of a few templates and pages of one layout, all made by this room.

What differs within a template is what a brand's designer changes: words, price, product.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from PIL import Image, ImageDraw, ImageOps

from evals.edits import EDITS, MORE_EDITS
from evals.page import Findings
from evals.pairs import Shown, compare, edited, on_white, spread
from evals.photos import jpeg
from evals.sources import Food, foods, photographs

WIDE, HIGH = 1_200, 400
PAGE = (960, 1_200)
BANNERS_OF_ONE = 16
"""Banners of each template: half of its products, with two messages each."""
PAGES = 30
EDITED = 8
MESSAGES = (("Summer sale", "-20 %"), ("Only this weekend", "-50 %"))
ARTICLE = (
    "How it is grown, how it is kept, and what it costs from week to week.",
    "Our growers deliver each morning; what is left goes to the market.",
    "Store it in a cool and dry place and use it within five days.",
    "Rich in fibre, low in fat; goes with lentils, rice and fresh herbs.",
    "Ask for it at the counter, or order it before noon for the same day.",
    "Washed and cut by hand, packed without plastic, priced by weight.",
)

ABOUT = """
All made (Pillow). *Banners*: three templates of 1200 by 400 pixels, {banners} banners of each, with
another product (foods of the room `packshots`), name, message or price; some differ in message and
price only. *Pages*: {pages} screenshots of one shop's page layout, each of another product, with
its name, picture, text and price. A family is a template. {edited} of each are edited. Recall,
false pairs and cosine as in the room `packshots`.
"""


def measure() -> Findings:
    """Return recall by edit, the false pairs, and those of one template called copies."""
    banners, pages = list(_banners()), list(_pages())
    about = ABOUT.format(banners=BANNERS_OF_ONE, pages=len(pages), edited=EDITED)
    figures = [
        *compare("banners", [*banners, *_edits(banners)], "of one template"),
        *compare("pages", [*pages, *_edits(pages)], "of one layout"),
    ]
    return Findings("Banners and pages of one template", about, figures)


def _edits(pictures: list[Shown]) -> Iterator[Shown]:
    for one, before in spread(pictures, EDITED):
        yield from edited(one, before, BANNER_EDITS)


def _products() -> list[Food]:
    return [one for one in foods() if one.group in ("Fruits", "Other Vegetables")]


def _banners() -> Iterator[Shown]:
    scenes = list(photographs().values())
    products = _products()
    for number, draw in enumerate((_split, _centred, _over_photograph)):
        for at in range(BANNERS_OF_ONE):
            product = products[(number * 31 + at // 2 * 5) % len(products)]
            scene = on_white(scenes[number].read_bytes(), WIDE)
            body = jpeg(draw(product, *MESSAGES[at % 2], scene))
            yield Shown(body, f"banner/{number}/{at}", f"template/{number}")


def _picture(product: Food, size: tuple[int, int]) -> Image.Image:
    return ImageOps.fit(on_white(product.path.read_bytes()), size)


def _split(product: Food, message: str, price: str, _: Image.Image) -> Image.Image:
    banner = Image.new("RGB", (WIDE, HIGH), "#f4c430")
    banner.paste(_picture(product, (480, HIGH)), (WIDE - 480, 0))
    draw = ImageDraw.Draw(banner)
    draw.text((50, 60), message, "#202020", font_size=64)
    draw.text((50, 160), product.family, "#202020", font_size=40)
    draw.rounded_rectangle((50, 260, 300, 340), 16, fill="#c2183c")
    draw.text((175, 300), price, "white", font_size=52, anchor="mm")
    return banner


def _centred(product: Food, message: str, price: str, _: Image.Image) -> Image.Image:
    banner = Image.new("RGB", (WIDE, HIGH), "#123c34")
    draw = ImageDraw.Draw(banner)
    draw.rectangle((20, 20, WIDE - 20, HIGH - 20), outline="#d8b26e", width=4)
    draw.text((WIDE / 2, 100), message, "#f5efe0", font_size=58, anchor="mm")
    draw.text((WIDE / 2, 300), f"{product.family}  {price}", "#d8b26e", font_size=48, anchor="mm")
    banner.paste(_picture(product, (220, 124)), (WIDE // 2 - 110, 148))
    return banner


def _over_photograph(product: Food, message: str, price: str, scene: Image.Image) -> Image.Image:
    banner = ImageOps.fit(scene, (WIDE, HIGH))
    draw = ImageDraw.Draw(banner)
    draw.rectangle((0, 270, WIDE, HIGH), fill="#ffffff")
    draw.text((40, 295), f"{message}: {product.family}", "#14213d", font_size=46)
    draw.text((WIDE - 40, 295), price, "#c2183c", font_size=60, anchor="ra")
    return banner


def _pages() -> Iterator[Shown]:
    products = _products()
    for at in range(PAGES):
        product, others = products[at * 3 % len(products)], products[at : at + 3]
        page = Image.new("RGB", PAGE, "white")
        draw = ImageDraw.Draw(page)
        draw.rectangle((0, 0, PAGE[0], 64), fill="#22543d")
        draw.text((24, 18), "Greengrocer    Fruit    Vegetables    Recipes", "white", font_size=24)
        draw.text((24, 90), product.name, "black", font_size=38)
        page.paste(_picture(product, (460, 300)), (24, 160))
        draw.text((520, 180), f"{2 + at * 0.35:.2f} a kilogram", "#c2183c", font_size=32)
        draw.rounded_rectangle((520, 250, 760, 310), 10, fill="#22543d")
        draw.text((640, 280), "Add to basket", "white", font_size=24, anchor="mm")
        for line in range(10):
            text = ARTICLE[(at + line * (1 + at % 5)) % len(ARTICLE)]
            draw.text((24, 500 + 36 * line), text, "#303030", font_size=22)
        for place, other in enumerate(others):
            page.paste(_picture(other, (280, 180)), (24 + 310 * place, 900))
            draw.text((24 + 310 * place, 1_095), other.family, "black", font_size=24)
        body = io.BytesIO()
        page.save(body, "PNG")
        yield Shown(body.getvalue(), f"page/{at}", "layout")


BANNER_EDITS: Mapping[str, Callable[[Image.Image, Image.Image], bytes]] = MappingProxyType(
    {
        "half size": lambda image, _: EDITS["half size"](image),
        "JPEG quality 20": lambda image, _: EDITS["JPEG quality 20"](image),
        "85 % crop": lambda image, _: EDITS["85 % crop"](image),
        "padding": lambda image, _: EDITS["padding"](image),
        **{name: MORE_EDITS[name] for name in ("640 px WebP", "mirrored", "in a page")},
    }
)
