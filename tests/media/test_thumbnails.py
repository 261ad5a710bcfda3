"""Thumbnails: made once of a stored picture, in a decoder, and kept under a key of their own."""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.object_damage import DAMAGES, Damage
from triptych.errors import (
    BadInput,
    DecoderLost,
    NotFound,
    NoThumbnail,
    ObjectDamaged,
    ObjectMissing,
    ThumbnailFailed,
    ThumbnailsBusy,
)
from triptych.media import thumbnails as thumbnails_module
from triptych.media.decoders import Decoders
from triptych.media.thumbnails import (
    WIDTHS,
    Thumbnails,
    thumbnail_key,
    thumbnail_keys,
    unsealed,
)
from triptych.model import Reason
from triptych.objects import ObjectStore, object_key, open_store
from triptych.settings.settings import Settings
from triptych.wiring.object_store import open_thumbnails

pytestmark = pytest.mark.integration

MAX_PIXELS = 10_000_000
PATIENCE_S = 60.0
SMALLEST = WIDTHS[0]


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width: int, height: int) -> Image.Image:
    return Image.linear_gradient("L").resize((width, height)).convert("RGB")


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store("file:", tmp_path / "objects")


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    """Started once: each takes a third of a CPU second, and no test changes what they do."""
    opened = Decoders(2)
    yield opened
    opened.close()


@pytest.fixture
async def thumbnails(store: ObjectStore, decoders: Decoders) -> AsyncIterator[Thumbnails]:
    opened = Thumbnails(store, decoders, at_once=2, max_pixels=MAX_PIXELS)
    yield opened
    await opened.close()


async def keep(store: ObjectStore, body: bytes) -> bytes:
    sha256 = hashlib.sha256(body).digest()
    await store.put(body, sha256, "application/octet-stream")
    return sha256


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body), formats=("WEBP",))
    image.load()
    return image


def asked(decoders: Decoders, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list of widths that the decoders are asked for from now on."""
    widths: list[int] = []
    ask = decoders.thumbnail

    def counting(body: bytes, *, width: int, **more: Any) -> bytes:
        widths.append(width)
        return ask(body, width=width, **more)

    monkeypatch.setattr(decoders, "thumbnail", counting)
    return widths


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
async def test_it_is_as_wide_as_was_asked_and_keeps_its_proportions(
    store: ObjectStore, thumbnails: Thumbnails, width: int, kind: str
) -> None:
    sha256 = await keep(store, encode(gradient(1600, 1200), kind))
    image = opened(await thumbnails.get(sha256, width))
    assert image.size == (width, width * 3 // 4)
    shades = np.asarray(image.convert("L"), np.int16)
    expected = np.asarray(gradient(1600, 1200).resize(image.size).convert("L"), np.int16)
    assert np.abs(shades - expected).mean() < 3


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 40), (100, 40)),
        ((SMALLEST, 10), (SMALLEST, 10)),
        ((400, 4000), (32, 320)),
        ((1, 100_000), (1, 320)),
        ((100_000, 1), (SMALLEST, 1)),
    ],
)
async def test_it_is_never_larger_than_the_original_nor_very_high(
    store: ObjectStore, thumbnails: Thumbnails, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    sha256 = await keep(store, encode(Image.new("RGB", size, (200, 10, 10)), "PNG"))
    assert opened(await thumbnails.get(sha256, SMALLEST)).size == expected


async def test_it_is_upright_and_without_the_originals_metadata(
    store: ObjectStore, thumbnails: Thumbnails
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "where it was taken"
    body = encode(gradient(800, 400), "JPEG", exif=exif, icc_profile=b"\0" * 200, comment=b"who")
    thumbnail = await thumbnails.get(await keep(store, body), SMALLEST)
    image = opened(thumbnail)
    assert image.size == (160, 320)
    assert not image.getexif()
    assert "icc_profile" not in image.info
    assert b"taken" not in thumbnail


async def test_it_keeps_transparency(store: ObjectStore, thumbnails: Thumbnails) -> None:
    logo = Image.new("RGBA", (400, 400), (255, 255, 255, 0))
    logo.paste((255, 255, 255, 255), (0, 0, 200, 400))
    image = opened(await thumbnails.get(await keep(store, encode(logo, "PNG")), SMALLEST))
    assert image.mode == "RGBA"
    assert image.getpixel((40, 80)) == (255, 255, 255, 255)
    assert image.getpixel((120, 80))[3] == 0  # type: ignore[index]


async def test_of_an_svg_it_is_drawn_at_the_width_and_reaches_for_nothing(
    store: ObjectStore, thumbnails: Thumbnails, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8), (255, 0, 0)).save(secret)
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 12">'
        f'<rect width="12" height="12" fill="blue"/><image width="24" height="12" href="{secret}"/>'
        "</svg>"
    )
    image = opened(await thumbnails.get(await keep(store, svg.encode()), SMALLEST))
    assert image.size == (160, 80)
    assert image.convert("RGBA").getpixel((40, 40)) == (0, 0, 255, 255)
    assert image.convert("RGBA").getpixel((120, 40))[3] == 0  # type: ignore[index]


async def test_g6_it_is_made_once_and_stored_under_its_key(
    store: ObjectStore,
    decoders: Decoders,
    thumbnails: Thumbnails,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    widths = asked(decoders, monkeypatch)
    sha256 = await keep(store, encode(gradient(800, 600), "JPEG"))
    many = await asyncio.gather(*(thumbnails.get(sha256, 320) for _ in range(20)))
    assert await thumbnails.get(sha256, 320) == many[0]
    key = thumbnail_key(sha256, 320)
    assert set(many) == {unsealed(key, await store.get(key))}
    another = Thumbnails(store, decoders, at_once=1, max_pixels=MAX_PIXELS)
    assert await another.get(sha256, 320) == many[0]
    await another.close()
    assert widths == [320]


async def test_the_keys_of_an_object_find_all_its_thumbnails(
    store: ObjectStore, thumbnails: Thumbnails
) -> None:
    sha256 = await keep(store, encode(gradient(2000, 20), "PNG"))
    for width in WIDTHS:
        await thumbnails.get(sha256, width)
    keys = thumbnail_keys(sha256)
    assert keys == thumbnails_module.thumbnails_of(object_key(sha256))
    assert {key for key in keys if await store.exists(key)} == {
        thumbnail_key(sha256, width) for width in WIDTHS
    }
    # Those of older versions too.
    await store.put_as(thumbnail_key(sha256, 160, version=1), b"old", "image/webp")
    await store.delete([*keys, *keys])
    assert not [key for key in keys if await store.exists(key)]


@pytest.mark.parametrize("width", [0, -1, 161, 10**9])
async def test_g8_other_widths_are_refused(thumbnails: Thumbnails, width: int) -> None:
    with pytest.raises(BadInput, match="160, 320, 640, 1280") as error:
        await thumbnails.get(b"\0" * 32, width)
    assert error.value.field == "width"


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        (b"%PDF-1.7\n" + b"\0" * 100, NoThumbnail, r"this is a document \(application/pdf\)"),
        (
            b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
            NoThumbnail,
            r"this is a video \(video/mp4\)",
        ),
        (encode(gradient(300, 200), "PNG")[:200], ThumbnailFailed, "cannot be decoded: undecod"),
        (encode(Image.new("1", (5000, 5000)), "PNG"), ThumbnailFailed, "too_many_pixels"),
    ],
)
async def test_what_has_none_is_told_and_nothing_is_stored(
    store: ObjectStore, thumbnails: Thumbnails, body: bytes, error: type[NoThumbnail], says: str
) -> None:
    sha256 = await keep(store, body)
    with pytest.raises(error, match=says) as raised:
        await thumbnails.get(sha256, 640)
    assert type(raised.value) is error
    assert raised.value.status == NotFound.status
    assert not await store.exists(thumbnail_key(sha256, 640))


async def test_of_an_object_that_is_not_there_is_none(thumbnails: Thumbnails) -> None:
    with pytest.raises(ObjectMissing, match="Run its brand again"):
        await thumbnails.get(b"\0" * 32, 640)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_g6_a_damaged_thumbnail_is_made_again(
    store: ObjectStore, thumbnails: Thumbnails, tmp_path: Path, damage: Damage
) -> None:
    sha256 = await keep(store, encode(gradient(300, 200), "PNG"))
    made = await thumbnails.get(sha256, 160)
    path = tmp_path / "objects" / thumbnail_key(sha256, 160)
    before = path.read_bytes()
    path.write_bytes(damage(before))
    assert await thumbnails.get(sha256, 160) == made
    assert path.read_bytes() == before


async def test_g6_a_thumbnail_of_another_picture_or_width_is_made_again(
    store: ObjectStore, thumbnails: Thumbnails, tmp_path: Path
) -> None:
    one, other = [await keep(store, encode(gradient(300, height), "PNG")) for height in (200, 100)]
    made = {
        (sha256, width): await thumbnails.get(sha256, width)
        for sha256 in (one, other)
        for width in (160, 320)
    }
    right = tmp_path / "objects" / thumbnail_key(one, 160)
    for wrong in (thumbnail_key(other, 160), thumbnail_key(one, 320)):
        right.write_bytes((tmp_path / "objects" / wrong).read_bytes())
        assert await thumbnails.get(one, 160) == made[one, 160]


async def test_a_stored_thumbnail_is_a_picture_with_its_seal_behind_it(
    store: ObjectStore, thumbnails: Thumbnails
) -> None:
    sha256 = await keep(store, encode(gradient(300, 200), "PNG"))
    made, key = await thumbnails.get(sha256, 160), thumbnail_key(sha256, 160)
    stored = await store.get(key)
    assert stored[:-32] == made
    assert opened(stored).size == opened(made).size


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_of_a_damaged_original_none_is_made(
    store: ObjectStore, thumbnails: Thumbnails, tmp_path: Path, damage: Damage
) -> None:
    sha256 = await keep(store, body := encode(gradient(300, 200), "PNG"))
    (tmp_path / "objects" / object_key(sha256)).write_bytes(damage(body))
    with pytest.raises(ObjectDamaged, match=r"damaged: .+ Run its brand again"):
        await thumbnails.get(sha256, 160)
    assert not await store.exists(thumbnail_key(sha256, 160))


async def test_one_that_has_cost_a_decoder_is_not_tried_again_for_a_while(
    store: ObjectStore,
    thumbnails: Thumbnails,
    decoders: Decoders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sha256 = await keep(store, encode(gradient(300, 200), "PNG"))
    widths = []

    def losing(_: bytes, *, width: int, **__: Any) -> bytes:
        widths.append(width)
        raise DecoderLost(Reason.UNDECODABLE, "decoding took more CPU time than a picture may")

    monkeypatch.setattr(decoders, "thumbnail", losing)
    for expected in ("CPU time", "a moment ago", "a moment ago"):
        with pytest.raises(ThumbnailFailed, match=expected):
            await thumbnails.get(sha256, 640)
    assert widths == [640]
    monkeypatch.undo()
    assert len(await thumbnails.get(sha256, 160)), "another width may do"
    thumbnails._lost.update(dict.fromkeys(thumbnails._lost, 0.0))
    assert len(await thumbnails.get(sha256, 640))


class Gate:
    """Holds up the decoders until it is opened."""

    def __init__(self, decoders: Decoders, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        ask = decoders.thumbnail

        def waiting(body: bytes, *, width: int, **more: Any) -> bytes:
            self.reached.set()
            assert self.open.wait(PATIENCE_S)
            return ask(body, width=width, **more)

        monkeypatch.setattr(decoders, "thumbnail", waiting)

    async def wait(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, PATIENCE_S)


async def test_g6_an_object_deleted_meanwhile_leaves_no_thumbnail(
    store: ObjectStore,
    decoders: Decoders,
    thumbnails: Thumbnails,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate(decoders, monkeypatch)
    sha256 = await keep(store, encode(gradient(300, 200), "PNG"))
    asking = asyncio.create_task(thumbnails.get(sha256, 160))
    await gate.wait()
    await store.delete([object_key(sha256)])
    await store.delete(thumbnail_keys(sha256))
    gate.open.set()
    with pytest.raises(NoThumbnail):
        await asking
    assert not await store.exists(thumbnail_key(sha256, 160))


async def test_one_who_gives_up_takes_no_other_along(
    store: ObjectStore,
    decoders: Decoders,
    thumbnails: Thumbnails,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate(decoders, monkeypatch)
    sha256 = await keep(store, encode(gradient(300, 200), "PNG"))
    first = asyncio.create_task(thumbnails.get(sha256, 160))
    await gate.wait()
    second = asyncio.create_task(thumbnails.get(sha256, 160))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.open.set()
    assert opened(await second).size == (160, 107)


async def test_g8_no_more_wait_than_allowed(
    store: ObjectStore,
    decoders: Decoders,
    thumbnails: Thumbnails,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(thumbnails_module, "WAITING_MAX", 2)
    gate = Gate(decoders, monkeypatch)
    sha256 = await keep(store, encode(gradient(300, 200), "PNG"))
    held = [asyncio.create_task(thumbnails.get(sha256, width)) for width in (160, 320)]
    await gate.wait()
    with pytest.raises(ThumbnailsBusy, match="Try again in a moment"):
        await thumbnails.get(sha256, 640)
    gate.open.set()
    assert len(await asyncio.gather(*held)) == 2
    assert opened(await thumbnails.get(sha256, 640)).size == (300, 200)


async def test_closing_gives_up_what_is_in_the_making(
    store: ObjectStore, decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = Thumbnails(store, decoders, at_once=1, max_pixels=MAX_PIXELS)
    gate = Gate(decoders, monkeypatch)
    sha256 = await keep(store, encode(gradient(300, 200), "PNG"))
    asking = asyncio.create_task(closing.get(sha256, 160))
    await gate.wait()
    gate.open.set()
    await closing.close()
    await closing.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize("given", [False, True])
async def test_they_are_wired_to_the_store_of_the_settings(tmp_path: Path, given: bool) -> None:
    settings = Settings.load(data=tmp_path, store_url=f"file://{tmp_path}/elsewhere")
    own = open_store(settings.store_url, tmp_path)
    sha256 = await keep(own, encode(gradient(300, 200), "PNG"))
    async with open_thumbnails(settings, own if given else None) as wired:
        assert opened(await wired.get(sha256, 160)).size == (160, 107)
    assert await own.exists(thumbnail_key(sha256, 160))
