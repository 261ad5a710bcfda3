"""Media that are no pictures, told by content."""

from __future__ import annotations

import pytest

from triptych.media.kinds import other_media

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
