"""Media that are no pictures, told by content."""

from __future__ import annotations

import pytest

from triptych.errors import PermanentItemError
from triptych.media.kinds import other_media, picture_type
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


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff\xd8\xff\xe0 and so on", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x20ftypavif", "image/avif"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
    ],
)
def test_a_picture_that_is_not_decoded_is_told_by_its_first_bytes(body: bytes, kind: str) -> None:
    assert picture_type(body) == kind


@pytest.mark.parametrize("body", [b"<!doctype html>", b"%PDF-1.7", b"RIFF\x10\0\0\0WAVE", b"x"])
def test_what_does_not_begin_as_a_picture_is_none(body: bytes) -> None:
    with pytest.raises(PermanentItemError) as raised:
        picture_type(body)
    assert raised.value.reason is Reason.NOT_AN_IMAGE
