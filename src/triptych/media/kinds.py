"""Media that are not decoded: recognised by content, named, and stored unchanged on request."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES = 4096
KEPT = ("video/", "audio/", "model/")
KEPT_TYPES = frozenset({"application/pdf", "application/x-matroska"})


@dataclass(frozen=True, slots=True)
class Format:
    """A format of pictures or documents that is recognised by its first bytes and not decoded."""

    name: str
    """With its article, for people."""
    media_type: str
    head: bytes
    at: int = 0
    """Where ``head`` is; negative: counted from the end of the file."""

    def fits(self, body: bytes) -> bool:
        """Return whether ``body`` begins, or ends, like a file of this format."""
        at = self.at if self.at >= 0 else max(0, len(body) + self.at)
        return body.startswith(self.head, at)


FORMATS = (
    Format("a JPEG XL picture", "image/jxl", b"\xff\x0a"),
    Format("a JPEG XL picture", "image/jxl", b"\0\0\0\x0cJXL \r\n\x87\n"),
    Format("a Photoshop document", "image/vnd.adobe.photoshop", b"8BPS\0\1"),
    Format("a large Photoshop document", "image/vnd.adobe.photoshop", b"8BPS\0\2"),
    Format("a PostScript document", "application/postscript", b"%!PS"),
    Format("a PostScript document", "application/postscript", b"\xc5\xd0\xd3\xc6"),
    Format("a TGA picture", "image/x-tga", b"TRUEVISION-XFILE.\0", -18),
    Format("a JPEG XR picture", "image/jxr", b"II\xbc\1"),
    Format("a GIMP picture", "image/x-xcf", b"gimp xcf "),
    Format("an OpenEXR picture", "image/x-exr", b"\x76\x2f\x31\x01"),
    Format("a Radiance picture", "image/vnd.radiance", b"#?RADIANCE"),
    Format("a Radiance picture", "image/vnd.radiance", b"#?RGBE"),
    Format("a DirectDraw picture", "image/vnd.ms-dds", b"DDS "),
    Format("an Apple icon", "image/x-icns", b"icns"),
    Format("a Windows cursor", "image/x-win-bitmap", b"\0\0\2\0"),
    Format("a Windows metafile", "image/wmf", b"\xd7\xcd\xc6\x9a"),
    Format("a Windows metafile", "image/emf", b" EMF", 40),
    Format("a DjVu document", "image/vnd.djvu", b"AT&TFORM"),
    Format("a QOI picture", "image/qoi", b"qoif"),
    Format("a BPG picture", "image/bpg", b"BPG\xfb"),
    Format("a FLIF picture", "image/flif", b"FLIF"),
    Format("a MNG animation", "video/x-mng", b"\x8aMNG\r\n\x1a\n"),
    Format("a FITS picture", "image/fits", b"SIMPLE  ="),
    Format("a DICOM picture", "application/dicom", b"DICM", 128),
    Format("a Sun raster picture", "image/x-sun-raster", b"\x59\xa6\x6a\x95"),
    Format("a raw photograph", "image/x-canon-cr3", b"ftypcrx ", 4),
    Format("a raw photograph", "image/x-fuji-raf", b"FUJIFILMCCD-RAW"),
)
"""Formats that are often among a brand's files. Heads shorter than four bytes would match other
files; the exception is JPEG XL's, with which no text begins."""
PORTABLE_HEAD = re.compile(rb"P[1-7]\s+(?:#|\d+\s+\d|WIDTH|HEIGHT)")
PORTABLE = Format("a portable bitmap", "image/x-portable-anymap", b"P")


def known_format(body: bytes) -> Format | None:
    """Return the format of a picture or document that is not decoded; None if it is not known."""
    if PORTABLE_HEAD.match(body):
        return PORTABLE
    return next((each for each in FORMATS if each.fits(body)), None)


def other_media(body: bytes) -> str | None:
    """Return the media type of what may be stored unchanged; None for anything else.

    That is a video, a sound, a 3-D model, a PDF, or a picture or document of `known_format`.
    """
    known = known_format(body)
    if known is not None:
        return known.media_type
    # Imported here: a decoder whose files are all pictures never needs its tables.
    import puremagic

    try:
        matches = puremagic.magic_string(body[:HEAD_BYTES])
    except (puremagic.PureError, ValueError):
        return None
    kinds = [match.mime_type for match in matches]
    return next((kind for kind in kinds if kind.startswith(KEPT) or kind in KEPT_TYPES), None)
