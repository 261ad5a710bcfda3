"""Signed URLs of thumbnails: each stays the same for a while, and expires when it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.errors import NoThumbnail
from triptych.media import signed_thumbnails
from triptych.media.signed_thumbnails import REUSED_S, SEEN_S, SPARE_S, SignedThumbnails, origin_of
from triptych.objects import SIGNED_S, ObjectStore, open_store

SHA256 = b"1" * 32
ORIGIN = "https://bucket.example"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Made:
    """Thumbnails that count how often they are read."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, int]] = []
        self.there = True

    async def get(self, sha256: bytes, width: int) -> bytes:
        self.asked.append((sha256, width))
        if not self.there:
            raise NoThumbnail("none")
        return b"webp"


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SignedThumbnails:
    count = 0

    async def sign(_: ObjectStore, key: str) -> str:
        nonlocal count
        count += 1
        return f"{ORIGIN}/{key}?{count}"

    monkeypatch.setattr(signed_thumbnails, "_sign", sign)
    return SignedThumbnails(open_store("memory:", tmp_path), Made(), ORIGIN, clock=Clock())


def parts(signed: SignedThumbnails) -> tuple[Made, Clock]:
    made, clock = signed._made, signed._clock
    assert isinstance(made, Made)
    assert isinstance(clock, Clock)
    return made, clock


async def test_a_url_is_the_same_for_a_while_so_that_caches_know_it(
    signed: SignedThumbnails,
) -> None:
    _, clock = parts(signed)
    first = await signed.url(SHA256, 320)
    assert first.valid_s == SIGNED_S - SPARE_S
    clock.now += REUSED_S - 1
    second = await signed.url(SHA256, 320)
    assert second.url == first.url
    assert second.valid_s == first.valid_s - clock.now > 0
    clock.now += 1
    third = await signed.url(SHA256, 320)
    assert (third.url != first.url, third.valid_s) == (True, first.valid_s)
    assert (await signed.url(SHA256, 160)).url != third.url


async def test_a_thumbnail_is_read_before_its_first_url_and_now_and_then(
    signed: SignedThumbnails,
) -> None:
    made, clock = parts(signed)
    for _ in range(3):
        await signed.url(SHA256, 320)
        clock.now += REUSED_S
    assert made.asked == [(SHA256, 320)]
    clock.now = SEEN_S
    await signed.url(SHA256, 320)
    assert len(made.asked) == 2


async def test_what_cannot_be_made_has_no_url(signed: SignedThumbnails) -> None:
    made, _ = parts(signed)
    made.there = False
    with pytest.raises(NoThumbnail):
        await signed.url(SHA256, 320)


async def test_urls_remembered_are_bounded(
    signed: SignedThumbnails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed_thumbnails, "URLS_MAX", 2)
    made, _ = parts(signed)
    for sha256 in (b"a" * 32, b"b" * 32, b"a" * 32, b"c" * 32, b"a" * 32):
        await signed.url(sha256, 320)
    assert [sha256[:1] for sha256, _ in made.asked] == [b"a", b"b", b"c"]
    await signed.url(b"b" * 32, 320)
    assert len(made.asked) == 4, "the least recent was forgotten"


async def test_stores_that_sign_nothing_have_no_origin(tmp_path: Path) -> None:
    assert await origin_of(open_store("memory:", tmp_path)) is None
