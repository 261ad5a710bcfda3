"""Pictures that sites have. A row: the public report, the input, and how a browser shows it."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from PIL import Image, ImageDraw

from tests.support.icc import SRGB_PRIMARIES, rgb_profile
from triptych.errors import PermanentItemError
from triptych.media.colours import oklab
from triptych.media.decode import decode
from triptych.media.kinds import other_media
from triptych.model import Reason

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 60">'
NEAR = 0.05
"""OKLab distance to the stated colour: lossy formats do not keep it exactly."""


def scene(size: tuple[int, int] = (240, 160)) -> Image.Image:
    """Return mostly sky, with ground and a shoe."""
    image = Image.new("RGB", size, (120, 170, 220))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, size[1] * 2 // 3, *size), fill=(90, 120, 60))
    draw.polygon([(48, 80), (108, 53), (168, 120), (48, 120)], fill=(200, 60, 30))
    return image


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def mpo() -> bytes:
    return encode(scene(), "MPO", save_all=True, append_images=[scene((120, 80))])


def big_text() -> bytes:
    body = encode(scene(), "PNG")
    data = b"zTXthistory\0\0" + zlib.compress(b"layer renamed; " * 400_000)
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    return body[:33] + chunk + body[33:]


def swapped_profile() -> bytes:
    image = Image.new("RGB", (200, 200), (20, 20, 210))
    return encode(image, "PNG", icc_profile=rgb_profile(SRGB_PRIMARIES[::-1]))


def blank_first() -> bytes:
    white = Image.new("RGB", (240, 160), "white")
    return encode(white, "WEBP", save_all=True, append_images=[scene()], lossless=True)


def animated() -> bytes:
    return encode(scene(), "PNG", save_all=True, append_images=[scene().rotate(180)])


def drawing(content: str) -> str:
    return f"{SVG}{content}</svg>"


YELLOW = drawing('<rect width="100" height="60" fill="#cc0"/>')
VARIABLE = drawing(
    "<style>:root{--b:#3030c0}.a{fill:var(--b)} @import url(http://127.0.0.1:9797/x.css);</style>"
    '<rect class="a" width="100" height="60"/>'
)


@dataclass(frozen=True)
class Shown:
    """A report and how its picture comes out."""

    report: str
    make: Callable[[], bytes]
    media_type: str
    colour: int = 0x78AADC
    """That of the largest share."""


@dataclass(frozen=True)
class Named:
    """A report and what is said of a file that is not decoded."""

    report: str
    body: bytes
    says: str
    reason: Reason = Reason.NOT_AN_IMAGE
    kept_as: str | None = None


SHOWN = [
    Shown("python-pillow/Pillow#1138", mpo, "image/jpeg"),
    Shown("python-pillow/Pillow#2445", big_text, "image/png"),
    Shown("python-pillow/Pillow#4414", lambda: encode(scene(), "JPEG")[:-2], "image/jpeg"),
    Shown("photoprism/photoprism#1522", swapped_profile, "image/png", 0xD21414),
    Shown(
        "imgproxy/imgproxy#317",
        lambda: f"<!-- exported {'x' * 6000} -->\n{YELLOW}".encode(),
        "image/svg+xml",
        0xCCCC00,
    ),
    Shown(
        "gabriel-vasile/mimetype#192",
        lambda: YELLOW.encode("utf-16"),
        "image/svg+xml",
        0xCCCC00,
    ),
    Shown("linebender/resvg#821", VARIABLE.encode, "image/svg+xml", 0x3030C0),
    Shown("bpatrik/pigallery2#1135", lambda: encode(scene(), "JPEG2000"), "image/jp2"),
    Shown(
        "bpatrik/pigallery2#1135",
        lambda: encode(scene().resize((64, 64)), "ICO"),
        "image/vnd.microsoft.icon",
    ),
    Shown(
        "bpatrik/pigallery2#1135",
        lambda: gzip.compress(YELLOW.encode()),
        "image/svg+xml",
        0xCCCC00,
    ),
    Shown("danbooru/danbooru#3400", blank_first, "image/webp"),
    Shown("element-hq/synapse#4347", animated, "image/png"),
]
NAMED = [
    Named("nextcloud/photos#2644", b"\xff\x0a" + bytes(400), "JPEG XL", kept_as="image/jxl"),
    Named(
        "bpatrik/pigallery2#1135",
        b"8BPS\0\1" + bytes(400),
        "Photoshop",
        kept_as="image/vnd.adobe.photoshop",
    ),
    Named(
        "bpatrik/pigallery2#1135",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 60\n",
        "PostScript",
        kept_as="application/postscript",
    ),
    Named("bpatrik/pigallery2#1135", encode(scene(), "TGA"), "TGA", kept_as="image/x-tga"),
    Named(
        "BigBadaboom/androidsvg#302",
        drawing('<rect width="9" height="9" fill="var(--brand)"/>').encode(),
        "--brand",
        Reason.UNDECODABLE,
    ),
]


@pytest.mark.parametrize("case", SHOWN, ids=lambda case: f"{case.report} {case.media_type}")
def test_a_picture_comes_out_as_browsers_show_it(case: Shown) -> None:
    decoded = decode(case.make(), size=64, max_pixels=1_000_000)
    assert decoded.media_type == case.media_type
    found, wanted = (
        oklab([[packed >> 16, packed >> 8 & 255, packed & 255]])[0]  # type: ignore[arg-type]
        for packed in (decoded.colours[0].rgb, case.colour)
    )
    assert sum((found - wanted) ** 2) ** 0.5 < NEAR


@pytest.mark.parametrize("case", NAMED, ids=lambda case: f"{case.report} {case.says}")
def test_what_is_not_decoded_is_named(case: Named) -> None:
    with pytest.raises(PermanentItemError, match=case.says) as error:
        decode(case.body, size=64, max_pixels=1_000_000)
    assert error.value.reason is case.reason
    assert other_media(case.body) == case.kept_as
