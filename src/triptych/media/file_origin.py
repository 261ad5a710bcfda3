"""What a file says of its rights and its origin: EXIF, IPTC, XMP, PNG's texts, and C2PA.

Only what is said is read, and nothing is verified. Of the place where a picture was taken only
whether the file names it. Every part is bounded, and a part that is broken, too large or hostile is
named in `FileOrigin.unreadable` and costs nothing else.

Sources: Exif 2.32; the IPTC Photo Metadata Standard 2023.2, with its digital source types
(http://cv.iptc.org/newscodes/digitalsourcetype/); XMP, ISO 16684-1; C2PA 2.1, appendix A.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree
from PIL import Image, ImageFile, IptcImagePlugin

from triptych.media.file_facts import TEXT_MAX_CHARS, FileOrigin
from triptych.media.raster import EXIF_ERRORS, FORMATS
from triptych.media.svg_source import looks_like_svg

TEXT_MAX_BYTES = 16 * 1024
"""Of one text in a file that is looked at."""
XMP_MAX_BYTES = 1024 * 1024
"""Of an XMP packet, or an SVG, that is parsed; real ones have some kilobytes."""
XMP_ELEMENTS_MAX = 20_000
"""Elements of an XMP packet that are looked at; more are named as unreadable."""
SOURCE_TYPE = re.compile(r"digitalsourcetype/([A-Za-z]{1,64})/?$")
EXIF_ARTIST, EXIF_COPYRIGHT, EXIF_GPS = 0x013B, 0x8298, 0x8825
GPS_LATITUDE = 2
IPTC_CREATOR, IPTC_CREDIT, IPTC_COPYRIGHT = (2, 80), (2, 110), (2, 116)
DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
RIGHTS = "http://ns.adobe.com/xap/1.0/rights/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
EXIF_IN_XMP = "http://ns.adobe.com/exif/1.0/"
IN_XMP: Mapping[str, str] = {
    f"{{{DUBLIN_CORE}}}rights": "copyright",
    f"{{{DUBLIN_CORE}}}creator": "creator",
    f"{{{PHOTOSHOP}}}Credit": "credit",
    f"{{{RIGHTS}}}WebStatement": "licence",
    f"{{{RIGHTS}}}UsageTerms": "licence",
    f"{{{IPTC_EXTENSION}}}DigitalSourceType": "source_type",
    f"{{{IPTC_EXTENSION}}}DigitalSourcefileType": "source_type",
}
"""Properties of XMP, and the field that each is kept as."""
PNG_TEXTS: Mapping[str, str] = {"Copyright": "copyright", "Author": "creator"}
MANIFEST_MARKS = (b"jumb", b"c2pa")
"""A box of C2PA's manifest has both; so has no picture by chance."""
JPEG_APP11, PNG_MANIFEST, WEBP_MANIFEST = b"\xff\xeb", b"caBX", b"C2PA"
BOX_OF_MANIFEST = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""The type of C2PA's box in AVIF and HEIF."""
MANIFEST_WINDOW = 256
"""Bytes behind the beginning of a segment within which the marks stand."""
SEGMENTS_MAX = 1_000


def read_origin(body: bytes) -> FileOrigin:
    """Return what a picture's file says; never raises for what the file has."""
    said = _Said()
    if looks_like_svg(body):
        said.attempt("XMP", lambda: _from_xmp(body, said))
    else:
        try:
            with Image.open(io.BytesIO(body), formats=FORMATS) as image:
                said.attempt("EXIF", lambda: _from_exif(image, said))
                said.attempt("IPTC", lambda: _from_iptc(image, said))
                said.attempt("XMP", lambda: _from_xmp(_packet(image), said))
                said.attempt("PNG", lambda: _from_texts(image, said))
        except Exception:  # noqa: BLE001 - readers raise almost anything on hostile bytes
            said.unreadable.append("header")
    return FileOrigin(
        copyright=said.texts.get("copyright"),
        creator=said.texts.get("creator"),
        credit=said.texts.get("credit"),
        licence=said.texts.get("licence"),
        source_type=said.texts.get("source_type"),
        has_place=said.has_place,
        has_content_credentials=has_manifest(body),
        unreadable=said.unreadable,
    )


class _Said:
    """What was read so far."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.has_place = False
        self.unreadable: list[str] = []

    def attempt(self, part: str, read: Callable[[], None]) -> None:
        """Read a part; note one that is broken."""
        try:
            read()
        except (*EXIF_ERRORS, DefusedXmlException, ParseError, RecursionError):
            self.unreadable.append(part)

    def keep(self, field: str, value: object) -> None:
        """Keep a text, unless an earlier part has said one: EXIF, then IPTC, then XMP."""
        if isinstance(value, bytes):
            value = value[:TEXT_MAX_BYTES].decode("utf-8", "replace")
        if not isinstance(value, str) or field in self.texts:
            return
        text = "".join(each if each.isprintable() else " " for each in value[:TEXT_MAX_BYTES])
        text = " ".join(text.split())
        if field == "source_type" and (named := SOURCE_TYPE.search(text)):
            text = named[1]
        if text:
            cut = len(text) > TEXT_MAX_CHARS
            self.texts[field] = f"{text[: TEXT_MAX_CHARS - 1]}…" if cut else text


def _from_exif(image: Image.Image, said: _Said) -> None:
    exif = image.getexif()
    said.keep("copyright", exif.get(EXIF_COPYRIGHT))
    said.keep("creator", exif.get(EXIF_ARTIST))
    said.has_place |= GPS_LATITUDE in exif.get_ifd(EXIF_GPS)


def _from_iptc(image: ImageFile.ImageFile, said: _Said) -> None:
    says = IptcImagePlugin.getiptcinfo(image) or {}
    for at, field in (
        (IPTC_COPYRIGHT, "copyright"),
        (IPTC_CREATOR, "creator"),
        (IPTC_CREDIT, "credit"),
    ):
        value: Any = says.get(at)
        said.keep(field, value[0] if isinstance(value, list) and value else value)


def _packet(image: Image.Image) -> bytes:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return packet.encode() if isinstance(packet, str) else bytes(packet)


def _from_xmp(packet: bytes, said: _Said) -> None:
    packet = packet.strip(b"\0 \n\r\t")
    if not packet:
        return
    if len(packet) > XMP_MAX_BYTES:
        raise ValueError("too large")
    root = ElementTree.fromstring(packet, forbid_dtd=False)
    for number, element in enumerate(root.iter()):
        if number >= XMP_ELEMENTS_MAX:
            raise ValueError("too many elements")
        for name, text in _properties(element):
            if name == f"{{{EXIF_IN_XMP}}}GPSLatitude":
                said.has_place = True
            elif name in IN_XMP:
                said.keep(IN_XMP[name], text)


def _properties(element: Element) -> Iterator[tuple[str, str]]:
    """Yield an element and its attributes, each as a property with its text."""
    yield from element.attrib.items()
    resource = next((v for k, v in element.attrib.items() if k.endswith("}resource")), "")
    if element.tag in IN_XMP or str(element.tag).endswith("}GPSLatitude"):
        yield str(element.tag), resource or next(_texts(element), "")


def _texts(element: Element) -> Iterator[str]:
    return (text for each in element.iter() if (text := (each.text or "").strip()))


def _from_texts(image: Image.Image, said: _Said) -> None:
    for name, field in PNG_TEXTS.items():
        said.keep(field, image.info.get(name))


def has_manifest(body: bytes) -> bool:
    """Return whether a file has a C2PA manifest, where its format puts one."""
    if body.startswith(b"\xff\xd8"):
        return _marked(body, JPEG_APP11)
    if body.startswith(b"\x89PNG"):
        return _marked(body, PNG_MANIFEST)
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return _marked(body, WEBP_MANIFEST)
    return body[4:8] == b"ftyp" and BOX_OF_MANIFEST in body


def _marked(body: bytes, beginning: bytes) -> bool:
    """Return whether the marks of a manifest stand soon behind the beginning of a segment."""
    at = body.find(beginning)
    for _ in range(SEGMENTS_MAX):
        if at < 0:
            return False
        window = body[at : at + MANIFEST_WINDOW]
        if all(mark in window for mark in MANIFEST_MARKS):
            return True
        at = body.find(beginning, at + 1)
    return False
