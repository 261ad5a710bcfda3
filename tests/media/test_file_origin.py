"""What files say of rights and origin, in every format that can, and metadata that mean harm."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from triptych.media.file_facts import TEXT_MAX_CHARS
from triptych.media.file_origin import BOX_OF_MANIFEST, XMP_MAX_BYTES, has_manifest, read_origin

PICTURE = Image.new("RGB", (64, 48), (200, 40, 40))
GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP = f"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
  xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
  xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
  xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
  xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/"
  xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
  photoshop:Credit="Acme Studio" exif:GPSLatitude="48,12.5N"
  Iptc4xmpExt:DigitalSourceType="{GENERATED}">
  <dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© Acme</rdf:li></rdf:Alt></dc:rights>
  <dc:creator><rdf:Seq><rdf:li>Ada</rdf:li><rdf:li>Bob</rdf:li></rdf:Seq></dc:creator>
  <xmpRights:WebStatement rdf:resource="https://example.com/terms"/>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()


def saved(kind: str, **more: Any) -> bytes:
    body = io.BytesIO()
    PICTURE.save(body, kind, **more)
    return body.getvalue()


def exif(copyright_notice: str = "(c) Acme") -> Image.Exif:
    found = Image.Exif()
    found[0x8298], found[0x013B] = copyright_notice, "Ada"
    found.get_ifd(0x8825)[2] = (48.0, 12.5, 0.0)
    return found


def iptc(notice: bytes) -> bytes:
    """Return an APP13 segment with a copyright notice (IPTC-IIM 4.2, in Photoshop's resource)."""
    record = b"\x1c\x02\x74" + struct.pack(">H", len(notice)) + notice
    resource = (
        b"8BIM\x04\x04\0\0" + struct.pack(">I", len(record)) + record + b"\0" * (len(record) % 2)
    )
    data = b"Photoshop 3.0\0" + resource
    return b"\xff\xed" + struct.pack(">H", len(data) + 2) + data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_exif_says_who_has_the_rights_and_that_a_place_is_named(kind: str) -> None:
    found = read_origin(saved(kind, exif=exif()))
    assert (found.copyright, found.creator) == ("(c) Acme", "Ada")
    assert found.has_place
    assert found.says_rights
    assert not found.has_content_credentials
    assert found.unreadable == []


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "PNG"])
def test_xmp_says_rights_and_how_the_picture_was_made(kind: str) -> None:
    if kind == "PNG":
        chunk = PngInfo()
        chunk.add_itxt("XML:com.adobe.xmp", XMP.decode())
        body = saved(kind, pnginfo=chunk)
    else:
        body = saved(kind, xmp=XMP)
    found = read_origin(body)
    assert (found.copyright, found.creator, found.credit) == ("© Acme", "Ada", "Acme Studio")
    assert found.licence == "https://example.com/terms"
    assert found.source_type == "trainedAlgorithmicMedia"
    assert found.has_place


def test_iptc_and_the_texts_of_a_png_say_rights() -> None:
    plain = saved("JPEG")
    assert read_origin(plain[:2] + iptc(b"(c) Acme") + plain[2:]).copyright == "(c) Acme"
    chunk = PngInfo()
    chunk.add_text("Copyright", "Acme\x07 of\nVienna")
    assert read_origin(saved("PNG", pnginfo=chunk)).copyright == "Acme of Vienna"


def test_most_files_say_nothing() -> None:
    found = read_origin(saved("JPEG"))
    assert not found.says_rights
    assert not found.has_place
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    assert not read_origin(svg).says_rights


def test_texts_are_cut_and_the_cut_is_seen() -> None:
    found = read_origin(saved("JPEG", exif=exif("x" * 5_000)))
    assert found.copyright is not None
    assert len(found.copyright) == TEXT_MAX_CHARS
    assert found.copyright.endswith("…")


BOMB = b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>"""


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(BOMB, id="entities"),
        pytest.param(b"<x" + b"<a>" * 50_000, id="unclosed"),
        pytest.param(b"<a>" + b"<b/>" * 30_000 + b"</a>", id="many elements"),
        pytest.param(b"<a>" + b" " * XMP_MAX_BYTES + b"</a>", id="large"),
    ],
)
def test_hostile_xmp_costs_itself_alone(packet: bytes) -> None:
    found = read_origin(saved("WEBP", xmp=packet, exif=exif()))
    assert found.unreadable == ["XMP"]
    assert found.copyright == "(c) Acme"


def test_broken_exif_and_texts_too_large_to_unpack_cost_nothing_else() -> None:
    body = saved("JPEG", exif=exif())
    broken = body.replace(b"MM\0\x2a\0\0\0\x08", b"MM\0\x2a\xff\xff\xff\xff")
    assert broken != body
    assert read_origin(broken).copyright is None
    data = b"Copyright\0\0" + zlib.compress(b"x" * 100_000_000)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + data))
    png = saved("PNG")
    found = read_origin(png[:33] + chunk + png[33:])
    assert found.copyright is None


def manifest() -> bytes:
    return b"\0\0\0\x40jumb\0\0\0\x1ejumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\x03c2pa\0"


def test_a_manifest_is_seen_where_its_format_puts_it() -> None:
    box = manifest()
    jpeg, png, webp, avif = (saved(kind) for kind in ("JPEG", "PNG", "WEBP", "AVIF"))
    segment = b"JP\0\x01\0\0\0\x01" + box
    app11 = b"\xff\xeb" + struct.pack(">H", len(segment) + 2) + segment
    assert has_manifest(jpeg[:2] + app11 + jpeg[2:])
    chunk = struct.pack(">I", len(box)) + b"caBX" + box
    assert has_manifest(png[:33] + chunk + b"\0\0\0\0" + png[33:])
    assert has_manifest(webp + b"C2PA" + struct.pack("<I", len(box)) + box)
    assert has_manifest(avif + b"\0\0\0\x30uuid" + BOX_OF_MANIFEST + box)
    for plain in (jpeg, png, webp, avif):
        assert not has_manifest(plain)
    # The words alone, in a comment, are none.
    assert not has_manifest(saved("JPEG", comment=b"jumb c2pa"))
