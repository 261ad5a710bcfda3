"""SVG: drawn at the size that is needed, and reaching for nothing."""

from __future__ import annotations

import base64
import gzip
import io
from pathlib import Path

import pytest
from PIL import Image

from triptych.errors import PermanentItemError
from triptych.media.decode import decode
from triptych.media.decoded import Decoded
from triptych.media.signatures import picture_type
from triptych.media.svg_source import UNPACKED_MAX_BYTES
from triptych.model import Reason

SIDE = 64
NS = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
RED = (255, 0, 0)
SQUARE = '<rect width="100%" height="100%" fill="red"/>'


def open_(text: str | bytes) -> Decoded:
    body = text.encode() if isinstance(text, str) else text
    return decode(body, size=SIDE, max_pixels=1_000_000)


def middle(decoded: Decoded) -> tuple[int, ...]:
    return tuple(int(channel) for channel in decoded.pixels[SIDE // 2, SIDE // 2])


@pytest.mark.parametrize(
    ("attributes", "width", "height"),
    [
        ('width="40" height="20"', 40, 20),
        ('width="40px" height="20px"', 40, 20),
        ('width="1in" height="72pt"', 96, 96),
        ('viewBox="0 0 24 12"', 24, 12),
        ('viewBox="0,0,24,12" width="48"', 48, 24),
        ('viewBox="0 0 24 12" height="24"', 48, 24),
        ('width="100%" height="100%" viewBox="0 0 30 10"', 30, 10),
        ('width="1e9" height="1e9"', 1_000_000, 1_000_000),
    ],
)
def test_its_size_is_the_one_it_says(attributes: str, width: int, height: int) -> None:
    decoded = open_(f"<svg {NS} {attributes}>{SQUARE}</svg>")
    assert (decoded.width, decoded.height) == (width, height)
    assert decoded.media_type == "image/svg+xml"
    assert middle(decoded) == RED


@pytest.mark.parametrize(
    "head",
    [
        "",
        "\ufeff",
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        "<!-- by hand: <html> -->",
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://127.0.0.1:1/svg11.dtd">',
        '<!DOCTYPE svg [<!ENTITY colour "red">]>',
    ],
)
def test_heads_that_editors_write(head: str) -> None:
    assert middle(open_(f"{head}<svg {NS} width='9' height='9'>{SQUARE}</svg>")) == RED


def test_a_prefix_for_its_namespace() -> None:
    text = (
        '<s:svg xmlns:s="http://www.w3.org/2000/svg" width="9" height="9">'
        '<s:rect width="9" height="9" fill="red"/></s:svg>'
    )
    assert middle(open_(text)) == RED


def test_transparency_is_laid_over_a_ground_and_has_no_colour() -> None:
    decoded = open_(f"<svg {NS} width='20' height='20'><rect width='10' height='20'/></svg>")
    assert middle(decoded) != RED
    assert tuple(decoded.pixels[5, 60]) == (255, 255, 255)
    assert [colour.rgb for colour in decoded.colours] == [0x000000]


def test_pictures_in_it_are_drawn_if_they_are_data() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), RED).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    image = f'<image width="9" height="9" xlink:href="data:image/png;base64,{data}"/>'
    assert middle(open_(f"<svg {NS} width='9' height='9'>{image}</svg>")) == RED


@pytest.mark.parametrize("attribute", ["href", "xlink:href"])
@pytest.mark.parametrize("spelling", ["{path}", "file://{path}", " {path}", "../../../../{path}"])
def test_g9_no_file_is_read(tmp_path: Path, attribute: str, spelling: str) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8), RED).save(secret)
    image = f'<image width="9" height="9" {attribute}="{spelling.format(path=secret)}"/>'
    decoded = open_(f"<svg {NS} width='9' height='9'>{image}</svg>")
    assert not (decoded.pixels == RED).all(axis=2).any()


REACHING = {
    "a picture of a filter": '<filter id="f"><feImage href="{path}"/></filter>'
    '<rect filter="url(#f)" width="9" height="9"/>',
    "a style sheet": '<style>@import url("{path}"); image {{ href: url({path}) }}</style>'
    '<image width="9" height="9"/>',
    "a paint": '<rect style="fill: url({path})" width="9" height="9"/>'
    '<rect fill="url(file://{path})" width="9" height="9"/>',
    "a use of another file": '<use href="{path}#a"/><use xlink:href="file://{path}"/>',
    "a foreign object": '<foreignObject width="9" height="9">'
    '<img xmlns="http://www.w3.org/1999/xhtml" src="{path}"/></foreignObject>',
    "a base": '<g xml:base="{folder}/"><image width="9" height="9" href="#secret.png"/></g>',
    "an inclusion": '<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="{path}"/>',
    "an attribute of an animation": '<image width="9" height="9">'
    '<set attributeName="href" to="{path}"/></image>',
    "a cursor and a marker": '<path marker-mid="url({path})" cursor="url({path})" d="M0 0L9 9"/>',
}


@pytest.mark.parametrize("content", REACHING.values(), ids=REACHING)
def test_g9_nothing_in_it_reaches_a_file(tmp_path: Path, content: str) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8), RED).save(secret)
    decoded = open_(
        f"<svg {NS} width='9' height='9'>{content.format(path=secret, folder=tmp_path)}</svg>"
    )
    assert not (decoded.pixels == RED).all(axis=2).any()


@pytest.mark.parametrize("packed", [False, True])
def test_g9_a_drawing_within_it_reaches_no_file_either(tmp_path: Path, packed: bool) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8), RED).save(secret)
    image = f'<image width="9" height="9" href="{secret}" xlink:href="{secret}"/>'
    inner = f'<svg {NS} width="9" height="9">{SQUARE if packed else image}</svg>'.encode()
    data = base64.b64encode(gzip.compress(inner, mtime=0) if packed else inner).decode()
    outer = f'<image width="9" height="9" href="data:image/svg+xml;base64,{data}"/>'
    decoded = open_(f"<svg {NS} width='9' height='9'>{outer}</svg>")
    assert (decoded.pixels == RED).all(axis=2).any() == packed


def test_g9_an_entity_is_expanded_before_its_path_is_checked(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8), RED).save(secret)
    text = (
        f'<!DOCTYPE svg [<!ENTITY path "{secret}">]>'
        f'<svg {NS} width="9" height="9"><image width="9" height="9" href="&path;"/></svg>'
    )
    assert not (open_(text).pixels == RED).all(axis=2).any()


@pytest.mark.parametrize("box", ["0 0 1e38 1e38", "nan nan inf inf", "0 0 -9 -9", "0 0 0 0", ""])
def test_odd_boxes_are_drawn(box: str) -> None:
    assert open_(f"<svg {NS} viewBox='{box}'>{SQUARE}</svg>").pixels.shape == (SIDE, SIDE, 3)


def test_g8_what_calls_itself_ends() -> None:
    parts = '<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g><use href="#a"/>'
    with pytest.raises(PermanentItemError, match="nodes limit"):
        open_(f"<svg {NS} width='9' height='9'>{parts}</svg>")


def test_g9_no_entity_reads_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('<rect width="9" height="9" fill="red"/>')
    text = (
        f'<!DOCTYPE svg [<!ENTITY stolen SYSTEM "file://{secret}">]>'
        f"<svg {NS} width='9' height='9'>&stolen;</svg>"
    )
    with pytest.raises(PermanentItemError, match="Entity 'stolen' not defined") as error:
        open_(text)
    assert error.value.reason is Reason.UNDECODABLE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"<svg {NS}", Reason.UNDECODABLE),
        (f"<svg {NS} width='9' height='9'><g></svg>", Reason.UNDECODABLE),
        (f"<svg {NS} width='0' height='0'/>", Reason.UNDECODABLE),
        ("<svg width='9' height='9'/>", Reason.NOT_AN_IMAGE),
        (
            "<!DOCTYPE svg ["
            '<!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">'
            + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 20}">' for n in range(8))
            + f"]><svg {NS} width='9' height='9'><text>&i;</text></svg>",
            Reason.UNDECODABLE,
        ),
        (f"<svg {NS} width='9' height='9'>{'<g>' * 5000}</svg>", Reason.UNDECODABLE),
    ],
)
def test_g9_what_cannot_be_drawn_fails_its_item(text: str, reason: Reason) -> None:
    with pytest.raises(PermanentItemError) as error:
        open_(text)
    assert error.value.reason is reason


DOCUMENT = f"<svg {NS} width='9' height='9'>{SQUARE}</svg>"
LONG = "exported by a drawing program, with care <svg> " * 40_000
PROLOGS = {
    "a long comment": f"<!-- {LONG} -->",
    "many comments": "<!-- <html> -->\n" * 3000,
    "an instruction": '<?xml version="1.0"?><?xml-stylesheet href="x.css"?>' + "\n" * 9000,
    "a long DOCTYPE": "<!DOCTYPE svg [" + '<!ENTITY a "]> <html> [">\n' * 400 + "]>",
    "a DOCTYPE with a comment": "<!DOCTYPE svg [<!-- ]> ' <html> --> <!ENTITY b '>'>]>",
    "a small doctype": "<!doctype svg>",
}


@pytest.mark.parametrize("prolog", PROLOGS.values(), ids=PROLOGS)
def test_it_is_found_behind_what_may_precede_it(prolog: str) -> None:
    assert picture_type((prolog + DOCUMENT).encode()) == "image/svg+xml"
    if "doctype" not in prolog:
        # In XML the word is written in capitals; browsers refuse this one, too.
        assert middle(open_(prolog + DOCUMENT)) == RED


@pytest.mark.parametrize(
    "body",
    [
        DOCUMENT.encode("utf-16"),
        "\ufeff".encode("utf-16-be") + DOCUMENT.encode("utf-16-be"),
        DOCUMENT.encode("utf-16-le"),
        DOCUMENT.encode("utf-16-be"),
        f'<?xml version="1.0" encoding="UTF-16"?>{DOCUMENT}'.encode("utf-16"),
        f'<?xml version="1.0" encoding="UTF-8"?><!-- é -->{DOCUMENT}'.encode("utf-16"),
        gzip.compress(DOCUMENT.encode(), mtime=0),
        gzip.compress(DOCUMENT.encode("utf-16"), mtime=0),
        gzip.compress(f"<!-- {LONG} -->{DOCUMENT}".encode(), mtime=0),
        gzip.compress(DOCUMENT.encode(), mtime=0)[:-8],
    ],
)
def test_it_is_found_in_utf_16_and_compressed(body: bytes) -> None:
    assert picture_type(body) == "image/svg+xml"
    decoded = open_(body)
    assert middle(decoded) == RED
    assert decoded.media_type == "image/svg+xml"


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"text", mtime=0),
        gzip.compress(b"<html><svg/>", mtime=0),
        b"\x1f\x8b\x08 and noise",
        "<html><svg/></html>".encode("utf-16"),
        b"text before <svg>",
        b"<!-- never closed <svg>",
        b"<!DOCTYPE svg [ <svg>",
        b"<!---->" * 20_000 + b"<svg/>",
        b"<",
        b"",
    ],
)
def test_g9_what_is_no_svg_is_not_taken_for_one(body: bytes) -> None:
    assert picture_type(body) is None
    with pytest.raises(PermanentItemError) as error:
        open_(body)
    assert error.value.reason is Reason.NOT_AN_IMAGE


def test_g8_a_compressed_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(f"<svg {NS}>".encode() + b" " * (UNPACKED_MAX_BYTES + 1))
    with pytest.raises(PermanentItemError, match="unpacked") as error:
        open_(bomb)
    assert error.value.reason is Reason.UNDECODABLE
