"""Which columns of a list hold the URLs, and what is in their cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

PRIMARY = (
    *("url", "imageurl", "imagelink", "imagesrc", "imgurl", "imglink", "imgsrc", "imageuri"),
    *("pictureurl", "photourl", "mediaurl", "asseturl", "fileurl", "contenturl", "mainimage"),
    *("mainimageurl", "image", "images", "img", "picture", "photo", "media", "src", "uri"),
)
"""Names of columns with URLs, the surest first, as `_stem` writes them. LAION's is ``URL``,
Google's ``image_link``, Shopify's ``Image Src``, WooCommerce's ``Images``."""
FURTHER = frozenset(
    {"additionalimagelink", "additionalimage", "additionalimages", "otherimageurl", "otherimage"}
    | {"additionalimageurl", "variantimage", "galleryimages", "gallery", "swatchimageurl"}
)
"""Names of columns with more URLs of the same record."""
INNER = ("url", "src", "href", "link", "contentUrl")
"""Where an object in a cell, as in nested JSON, has its URL."""
CELL_DEPTH_MAX = 8
"""Levels of lists and objects in a cell in which URLs are looked for."""

_BETWEEN = r"(?<!\s)(?:\s*+[|,;]\s*+|\s++)"
"""Takes all white space at once: a long stretch of it would be tried from each of its places."""
_SEPARATOR = re.compile(rf"{_BETWEEN}(?=https?://)", re.IGNORECASE)
"""Between URLs in one cell: what comes after it begins with a scheme, so a comma within a URL is
not one."""
_RELATIVE_SEPARATOR = re.compile(rf"{_BETWEEN}(?=(?:https?:)?//)", re.IGNORECASE)
"""The same in a cell that begins without a scheme, or is seen to have several URLs. In one URL,
``//`` behind a separator is part of its path."""


@dataclass(frozen=True)
class Columns:
    """The columns of a list that matter; names as they are written in it."""

    urls: Sequence[str]
    brand: str | None

    @cached_property
    def dropped(self) -> frozenset[str | None]:
        """The columns that are no metadata."""
        return frozenset([*self.urls, self.brand])


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """Columns that someone chose; what is not chosen is found by its name."""

    urls: Sequence[str] = ()
    brand: str | None = None
    """An empty text: no column has the brand."""
    key: str | None = None
    """The column whose value makes a row the same asset in each run; None: its URL does."""
    ignored: frozenset[str] = frozenset()
    """Parameters of URLs' queries that do not, either."""
    quotes: bool = True
    """Whether errors may quote the list to whoever named it: its columns, sheets and brands."""


def _stem(name: str) -> str:
    """Return a column's name without case, spaces, underscores, namespace and trailing number."""
    plain = re.sub(r"[\s_\-./]+", "", name.casefold().removeprefix("g:"))
    return re.sub(r"\d+$", "", plain) or plain


def find_column(name: str, names: Sequence[str]) -> str | None:
    """Return the column that someone means by ``name``: exactly, or apart from case and spaces."""
    if name in names:
        return name
    wanted = name.strip().casefold()
    return next((each for each in names if each.strip().casefold() == wanted), None)


def choose_columns(names: Sequence[str]) -> Columns | None:
    """Return the columns with URLs and the one with the brand; None if no column has URLs.

    A column with a number behind its name belongs to the one without: ``image_1``, ``image_2``.
    """
    stems = {name: _stem(name) for name in names}
    primary = next((stem for stem in PRIMARY if stem in stems.values()), None)
    if primary is None:
        return None
    urls = [name for name in names if stems[name] == primary or stems[name] in FURTHER]
    return Columns(urls, find_column("brand", names))


def cell_urls(value: Any, levels: int = CELL_DEPTH_MAX) -> Iterator[str]:
    """Yield the URLs in a cell: none, one, or several that are separated or in a list.

    Raises:
        ValueError: it is nested in more than ``levels`` levels.
    """
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        text = value.strip()
        if text.count("//") > 1:
            several = text.startswith("//") or _SEPARATOR.search(text)
            separator = _RELATIVE_SEPARATOR if several else _SEPARATOR
            yield from (part for part in separator.split(text) if part)
        elif text:
            yield text
    elif isinstance(value, list | tuple | Mapping):
        if not levels:
            raise ValueError(f"It is nested in more than {CELL_DEPTH_MAX} levels.")
        if isinstance(value, Mapping):
            value = [
                next((value[name] for name in INNER if isinstance(value.get(name), str)), None)
            ]
        for each in value:
            yield from cell_urls(each, levels - 1)
    else:
        yield str(value)
