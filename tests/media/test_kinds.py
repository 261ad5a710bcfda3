"""Media that are no pictures, told by content."""

from __future__ import annotations

import pytest

from triptych.errors import PermanentItemError
from triptych.media.decode import decode
from triptych.media.kinds import FORMATS, Format, other_media
from triptych.media.signatures import picture_type
from triptych.model import Reason

PADDING = b"\0" * 100


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + PADDING, "application/pdf"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + PADDING, "video/mp4"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + PADDING, "video/mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\2\0qt  " + PADDING, "video/quicktime"),
        (bytes.fromhex("1a45dfa3010000000000001f428681") + b"\x01webm" + PADDING, "video/webm"),
        (b"OggS\0\2" + PADDING, "audio/ogg"),
    ],
)
def test_what_is_kept(body: bytes, kind: str) -> None:
    assert other_media(body) == kind


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!DOCTYPE html><html><body>403</body></html>",
        b"just a line of text",
        b'{"error": "gone"}',
        b"MZ\x90\0" + PADDING,
        b"\x7fELF" + PADDING,
        b"PK\x03\x04" + PADDING,
        b"#!/bin/sh\nrm -rf /\n",
    ],
)
def test_g9_what_is_not(body: bytes) -> None:
    assert other_media(body) is None


def file_of(known: Format) -> bytes:
    if known.at < 0:
        return PADDING + known.head
    return b"\1" * known.at + known.head + PADDING


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.head.hex())
def test_a_format_that_is_not_decoded_is_named_and_kept(known: Format) -> None:
    body = file_of(known)
    assert other_media(body) == known.media_type
    assert picture_type(body) is None
    with pytest.raises(PermanentItemError, match=known.name) as error:
        decode(body, size=32, max_pixels=10_000)
    assert error.value.reason is Reason.NOT_AN_IMAGE
    assert known.media_type in error.value.detail


def test_a_portable_bitmap_is_named() -> None:
    assert other_media(b"P6\n1 1\n255\nabc") == "image/x-portable-anymap"
    assert other_media(b"Paul") is None
