"""Small views of a snapshot's pictures: read once, kept compactly, without their frames."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from triptych.ai.step import Snapshot

SIDE = 96
"""Side in pixels of the square that pictures are resized to."""
CHROMA_SIDE = 24
READERS = 4
"""Pictures read and decoded at a time."""
VIEWS_MAX = 1_024
"""Prepared views that are cached, about 50 kB each."""
FRAME_MAX = 0.45
"""Largest share of a side that a border of one colour may take to be cut off as a frame."""
FRAME_DEVIATION = 5.0
FRAME_STEP = 10.0
CONTENT_MIN = 16
"""A picture with fewer rows or columns within its frame keeps its frame."""
GREY_CHROMA = 6.0
"""Mean chroma of a picture from which on it is coloured,"""
VIVID_CHROMA = 12.0
VIVID_SHARE = 0.01
"""or that of its most vivid parts, and their share: a small product may be all its colour."""
PLAIN_SHARE = 0.6
"""A picture is plain, as marks and drawings are, if two of 64 shades of grey cover at least this
share of it. In the evaluation that holds for 1 % of photographs and nine tenths of icons."""
SHADES = 64

Grey = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class View:
    """A small picture without its frame."""

    whole: Bytes
    """Grey levels, frame included."""
    inside: Grey
    """Grey levels, 0..255."""
    chroma: tuple[Grey, Grey]
    """Blue and red chroma difference of the whole, frame included; 0 is neutral."""
    box: tuple[float, float, float, float]
    """Left, top, right and bottom of the area inside the frame, as shares of the whole."""
    aspect: float
    """Aspect ratio, width by height, of the inside in the picture's own pixels."""
    content: float
    """Share of the picture's area that is inside the frame."""
    coloured: bool
    plain: bool


def view(pixels: Bytes, width: int, height: int) -> View:
    """Return the view of a picture of that size; ``pixels`` is the whole of it as an RGB square."""
    return _seen(_compact(pixels), width, height)


class Views:
    """Reads assets of a snapshot, each at most once, and keeps 10 kB of each. Not thread-safe."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._kept: dict[int, tuple[Bytes, Bytes] | None] = {}
        self._ready: OrderedDict[int, View] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of assets that were read."""
        return len(self._kept)

    def look(self, rows: Iterable[int], progress: Callable[[float], None]) -> None:
        """Read the assets that were not read yet; report the progress, 0..1."""
        wanted = [row for row in dict.fromkeys(rows) if row not in self._kept]
        with ThreadPoolExecutor(READERS, thread_name_prefix="views") as readers:
            for done, (row, kept) in enumerate(
                zip(wanted, readers.map(self._read, wanted), strict=True), start=1
            ):
                self._kept[row] = kept
                progress(done / len(wanted))

    def of(self, row: int) -> View | None:
        """Return the view of an asset; None if it was not read or is unavailable."""
        if row in self._ready:
            self._ready.move_to_end(row)
            return self._ready[row]
        kept = self._kept.get(row)
        if kept is None:
            return None
        snapshot = self._snapshot
        made = _seen(kept, int(snapshot.widths[row]), int(snapshot.heights[row]))
        self._ready[row] = made
        if len(self._ready) > VIEWS_MAX:
            self._ready.popitem(last=False)
        return made

    def _read(self, row: int) -> tuple[Bytes, Bytes] | None:
        pixels = self._snapshot.context.pixels(row, SIDE)
        return None if pixels is None else _compact(pixels)


def _compact(pixels: Bytes) -> tuple[Bytes, Bytes]:
    """Return the grey levels, and the two colour differences at a quarter of the side."""
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("YCbCr")
    small = image.resize((CHROMA_SIDE, CHROMA_SIDE), Image.Resampling.BOX)
    return np.asarray(image)[..., 0].copy(), np.asarray(small)[..., 1:].copy()


def _seen(kept: tuple[Bytes, Bytes], width: int, height: int) -> View:
    grey = kept[0].astype(np.float32)
    blue, red = np.moveaxis(kept[1].astype(np.float32) - 128, 2, 0)
    rows = _inside(grey)
    columns = _inside(grey[rows].T)
    inside = np.ascontiguousarray(grey[rows, columns])
    side = len(grey)
    tall, wide = inside.shape[0] / side, inside.shape[1] / side
    # Drawings have two dominant shades, such as ink and paper; photographs spread over many.
    shades = np.bincount((kept[0][rows, columns] // (256 // SHADES)).ravel(), minlength=SHADES)
    chroma = np.hypot(blue, red)
    return View(
        kept[0],
        inside,
        (np.ascontiguousarray(blue), np.ascontiguousarray(red)),
        (columns.start / side, rows.start / side, columns.stop / side, rows.stop / side),
        width * wide / (height * tall),
        wide * tall,
        bool(chroma.mean() > GREY_CHROMA or (chroma > VIVID_CHROMA).mean() >= VIVID_SHARE),
        bool(np.sort(shades)[-2:].sum() >= PLAIN_SHARE * inside.size),
    )


def _inside(lines: Grey) -> slice:
    """Return the range of lines without the frame: uniform end lines of the same colour."""
    first, last = _frame(lines), _frame(lines[::-1])
    if len(lines) - first - last < CONTENT_MIN:
        return slice(0, len(lines))
    return slice(first, len(lines) - last)


def _frame(lines: Grey) -> int:
    border = lines[: int(len(lines) * FRAME_MAX)]
    plain = (border.std(axis=1) <= FRAME_DEVIATION) & (
        np.abs(border.mean(axis=1) - np.median(lines[0])) <= FRAME_STEP
    )
    return len(border) if plain.all() else int(plain.argmin())
