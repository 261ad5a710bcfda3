"""SVGs that would take far longer to draw than anybody waits, mostly small; and honest ones."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from types import MappingProxyType

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
FULL = '<rect width="1000" height="1000" {}/>'
PHOTO_FILTERS = 40
"""Filters of an honest drawing: shadows of its parts."""


def svg(content: str, size: str = 'width="1000" height="1000"') -> bytes:
    """Return a document of 1000 by 1000 units."""
    return f"{HEAD}{size}>{content}</svg>".encode()


def filtered(primitives: str, *, shape: str = FULL, attributes: str = "", times: int = 1) -> bytes:
    """Return shapes of the whole size with one filter."""
    shapes = shape.format('fill="red" filter="url(#f)"') * times
    return svg(f'<filter id="f" {attributes}>{primitives}</filter>{shapes}')


def nested(kind: str, reference: str, *, branches: int, depth: int) -> str:
    """Return elements of a kind whose content refers ``branches`` times to the one before."""
    size = 'width="1" height="1"' if kind == "pattern" else ""
    layers = [f'<{kind} id="n0" {size}>{FULL.format("")}</{kind}>']
    for level in range(depth):
        content = FULL.format(reference.format(f"n{level}")) * branches
        layers.append(f'<{kind} id="n{level + 1}" {size}>{content}</{kind}>')
    return "".join(layers)


def used(branches: int, depth: int, leaf: str = FULL.format("")) -> str:
    """Return groups that use the one before ``branches`` times, and the use of the last one."""
    groups = [f'<g id="n0">{leaf}</g>']
    groups += [
        f'<g id="n{level + 1}">' + f'<use href="#n{level}"/>' * branches + "</g>"
        for level in range(depth)
    ]
    return f'<defs>{"".join(groups)}</defs><use xlink:href="#n{depth}"/>'


BLUR = '<feGaussianBlur stdDeviation="9"/>'
TURBULENCE = '<feTurbulence baseFrequency=".05" numOctaves="{}"/>'
INNER = filtered(TURBULENCE.format(100_000))
DATA = base64.b64encode(INNER).decode()
PACKED = base64.b64encode(gzip.compress(INNER, mtime=0)).decode()
LONG = "M0 0" + "".join(f"L{n * 37 % 1000} {n * 91 % 1000}" for n in range(4_000))

COSTLY: Mapping[str, bytes] = MappingProxyType(
    {
        "octaves, as reviewed": filtered(TURBULENCE.format(100_000) * 50),
        "octaves, once": filtered(TURBULENCE.format("1e9")),
        "octaves of small shapes": filtered(
            TURBULENCE.format(100_000), shape='<circle r="40" cx="50" cy="50" {}/>', times=100
        ),
        "octaves, of a path": filtered(
            TURBULENCE.format(100_000) * 9, shape='<path d="M0 0H1000V1000H0z" {}/>'
        ),
        "octaves, in a style": svg(
            f'<style>.a {{ filter: url("#f") }}</style><filter id="f">{TURBULENCE.format(10**6)}'
            "</filter>" + FULL.format('class="a"')
        ),
        "octaves, in a style of its own": svg(
            f'<filter id="f">{TURBULENCE.format(10**6)}</filter>'
            + FULL.format('style="fill:red; FILTER /* */ : url( #f )"')
        ),
        "octaves, with a prefix": svg(FULL.format(""))
        .replace(b"<rect", f'<filter id="f">{TURBULENCE.format(10**6)}</filter><rect'.encode())
        .replace(b"/></svg>", b" filter='url(#f)'/></svg>")
        .replace(b"<", b"<s:")
        .replace(b"<s:/", b"</s:")
        .replace(b"xmlns=", b"xmlns:s="),
        "octaves, of a group": svg(
            f'<filter id="f">{TURBULENCE.format(10**6)}</filter><g filter="url(#f)"><g>'
            + FULL.format("")
            + "</g></g>"
        ),
        "octaves, compressed": gzip.compress(INNER, mtime=0),
        "octaves, within a picture": svg(
            f'<image width="1000" height="1000" href="data:image/svg+xml;base64,{DATA}"/>'
        ),
        "octaves, within a compressed picture": svg(
            f'<image width="9" height="9" xlink:href="data:image/svg+xml;base64,{PACKED}"/>'
        ),
        "blurs": filtered(BLUR * 200),
        "shadows": filtered('<feDropShadow dx="3" stdDeviation="9"/>', times=100),
        "functions": svg(FULL.format(f'filter="{"blur(9px) " * 200}"')),
        "convolutions": filtered(
            f'<feConvolveMatrix order="60" kernelMatrix="{"1 " * 3600}"/>' * 4
        ),
        "morphology": filtered('<feMorphology operator="dilate" radius="400"/>' * 3),
        "morphology in shares": filtered(
            '<feMorphology radius=".4"/>' * 3, attributes='primitiveUnits="objectBoundingBox"'
        ),
        "lights": filtered(
            '<feDiffuseLighting><fePointLight x="5" y="5" z="5"/></feDiffuseLighting>'
            '<feSpecularLighting><fePointLight x="5" y="5" z="5"/></feSpecularLighting>' * 100
        ),
        "transfers": filtered(
            '<feComponentTransfer><feFuncR type="gamma" exponent="3"/></feComponentTransfer>' * 300
        ),
        "displacements": filtered('<feDisplacementMap in2="SourceGraphic" scale="9"/>' * 400),
        "merges": filtered(f"<feMerge>{'<feMergeNode/>' * 1000}</feMerge>"),
        "a wide region": filtered(
            BLUR * 50,
            shape='<rect width="1" height="1" {}/>',
            attributes='filterUnits="userSpaceOnUse" x="0" y="0" width="1000" height="1000"',
            times=10,
        ),
        "filters, used": svg(
            '<filter id="f"><feGaussianBlur stdDeviation="9"/></filter>'
            + used(10, 3, FULL.format('filter="url(#f)"'))
        ),
        "filters, enlarged": svg(
            '<filter id="f"><feGaussianBlur stdDeviation="9"/></filter><g transform="scale(1000)">'
            + '<rect width="1" height="1" filter="url(#f)"/>' * 200
            + "</g>"
        ),
        "filters in a pattern": svg(
            '<filter id="f">'
            + BLUR * 20
            + '</filter><pattern id="p" width="1" height="1">'
            + FULL.format('filter="url(#f)"')
            + "</pattern>"
            + FULL.format('fill="url(#p)"') * 10
        ),
        "pictures of filters": svg(
            f'<filter id="f">{TURBULENCE.format(50_000)}</filter><g id="g">'
            + FULL.format('filter="url(#f)"')
            + '</g><filter id="h"><feImage href="#g"/></filter>'
            + FULL.format('filter="url(#h)"')
        ),
        "uses": svg(used(10, 12)),
        "uses of each other in a long row": svg(used(1, 3_000)),
        "patterns": svg(
            FULL.format('fill="url(#p)"') * 100
            + nested("pattern", "", branches=1, depth=0).replace('id="n0"', 'id="p"')
        ),
        "patterns, inherited": svg(
            '<pattern id="p" width="1" height="1"><rect width="9" height="9"/></pattern>'
            f'<g fill="url(#p)">{FULL.format("") * 100}</g>'
        ),
        "patterns in patterns": svg(
            nested("pattern", 'fill="url(#{})"', branches=4, depth=6)
            + FULL.format('fill="url(#n6)"')
        ),
        "masks in masks": svg(
            nested("mask", 'mask="url(#{})"', branches=4, depth=8) + FULL.format('mask="url(#n8)"')
        ),
        "clips in clips": svg(
            nested("clipPath", 'clip-path="url(#{})"', branches=4, depth=8)
            + FULL.format('clip-path="url(#n8)"')
        ),
        "masks": svg(
            '<mask id="m"><rect width="999" height="999"/></mask>'
            + FULL.format('mask="url(#m)"') * 1000
        ),
        "layers": svg('<g opacity=".9">' * 180 + FULL.format('opacity=".9"') * 1000 + "</g>" * 180),
        "gradients": svg(
            '<radialGradient id="g"><stop/><stop offset="1"/></radialGradient>'
            + FULL.format('fill="url(#g)"') * 1000
        ),
        "markers": svg(
            '<marker id="k"><g>'
            + '<rect width="9" height="9"/>' * 100
            + "</g></marker>"
            + f'<path d="{LONG}" marker-mid="url(#k)"/>' * 5
        ),
        "text": svg(f"<text>{'long ' * 200_000}</text>"),
        "paths": svg(f'<path id="p" stroke="red" d="{LONG}"/>' + '<use href="#p"/>' * 2_000),
    }
)
"""By what costs."""

UNFORESEEN = svg(('<g opacity=".9">' + '<path d="M0 0H1000V1000H0z"/>' * 2 + "</g>") * 3_000)
"""Takes longer to draw than it may, and is not refused before: its size is not looked for."""

SHADOWS = "".join(
    f'<filter id="s{n}" filterUnits="userSpaceOnUse" x="{n}" y="{n}" width="60" height="60">'
    '<feFlood/><feColorMatrix in="SourceAlpha" values="0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 127 0"/>'
    '<feOffset dy="4"/><feGaussianBlur stdDeviation="2"/><feBlend in2="BackgroundImageFix"/>'
    f'</filter><g filter="url(#s{n})"><path d="M{n} {n}h40v40h-40z"/></g>'
    for n in range(PHOTO_FILTERS)
)
HONEST: Mapping[str, bytes] = MappingProxyType(
    {
        "shadows of its parts": svg(SHADOWS),
        "paper": filtered(TURBULENCE.format(5)),
        "a glow": filtered('<feGaussianBlur stdDeviation="20"/><feMerge><feMergeNode/></feMerge>'),
        "translucent parts": svg('<path opacity=".5" d="M0 0h9v9z"/>' * 2_000),
        "a gradient for each part": svg(
            '<linearGradient id="g"><stop/></linearGradient>'
            + '<path fill="url(#g)" d="M0 0h9v9z"/>' * 500
        ),
        "a map": svg(f'<path fill="none" stroke="red" d="{"l3 2-1 4" * 20_000}"/>'),
        "icons, used": svg(
            '<g id="i"><path d="M0 0h9v9z"/></g>' + '<use href="#i" x="9"/>' * 2_000
        ),
        "clipped parts": svg(
            '<clipPath id="c"><path d="M0 0h9v9z"/></clipPath>'
            + '<g clip-path="url(#c)"><path d="M0 0h9v9z"/></g>' * 300
        ),
        "a texture": svg(
            '<pattern id="p" width="9" height="9" patternUnits="userSpaceOnUse">'
            '<path d="M0 0h4v4z"/></pattern>' + FULL.format('fill="url(#p)"')
        ),
        "a mask in itself": svg(
            '<mask id="m"><rect width="9" height="9" mask="url(#m)"/></mask>'
            + FULL.format('mask="url(#m)"')
        ),
        "a page of text": svg(f"<text>{'word ' * 1_000}</text>"),
        "a picture": svg('<image width="9" height="9" href="data:image/png;base64,iVBORw0KGgo="/>'),
        "no size": svg(FULL.format(""), ""),
        "sizes that are none": svg(
            '<rect width="1e999" height="0" filter="url(#f)" transform="scale(0) scale(1e999)"/>'
            '<filter id="f" width="1e999" height="0"><feMorphology radius="nan -"/></filter>'
        ),
    }
)
"""By what they have much of."""
