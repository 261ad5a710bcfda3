"""CSS in SVG: variables have the values that browsers give them, or the picture fails by name."""

from __future__ import annotations

import pytest

from triptych.errors import PermanentItemError
from triptych.media.decode import decode
from triptych.model import Reason

SIDE = 32
BLUE = (48, 48, 192)


def middle(content: str, attributes: str = "") -> tuple[int, ...]:
    text = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" {attributes}>{content}</svg>'
    pixels = decode(text.encode(), size=SIDE, max_pixels=1_000_000).pixels
    return tuple(int(level) for level in pixels[SIDE // 2, SIDE // 2])


def rect(attributes: str) -> str:
    return f'<rect width="9" height="9" {attributes}/>'


USES_B = rect('fill="var(--b)"')
BLUES = {
    "root": "<style>:root{--b:#3030c0}.a{fill:var(--b)}</style>" + rect('class="a"'),
    "with an import": "<style>:root{--b:#3030c0}.a{fill:var(--b)}"
    '@import url("http://127.0.0.1:1/x.css");</style>' + rect('class="a"'),
    "svg": "<style>svg{--b:#3030c0}rect{fill:var( --b )}</style>" + rect(""),
    "every element": "<style>*{--b:#3030c0}#a{fill:var(--b)}</style>" + rect('id="a"'),
    "CDATA": "<style><![CDATA[:root{--b:#3030c0}.a{fill:var(--b)}]]></style>" + rect('class="a"'),
    "attribute": "<style>:root{--b:#3030c0}</style>" + rect('fill="var(--b)"'),
    "style of the element": "<style>:root{--b:#3030c0}</style>" + rect('style="fill:var(--b)"'),
    "declared by a parent": f'<g style="--b:#3030c0">{USES_B}</g>',
    "a parent's before the root's": "<style>:root{--b:red}.p{--b:#3030c0}</style>"
    f'<g class="p">{USES_B}</g>',
    "by class": "<style>.x{--b:red}.y{--b:#3030c0}rect{fill:var(--b)}</style>"
    + rect('class="x"')
    + rect('class="y"'),
    "of a variable": "<style>:root{--a:var(--c);--c:#3030c0}.a{fill:var(--a)}</style>"
    + rect('class="a"'),
    "fallback": rect('fill="var(--none, #3030c0)"'),
    "fallback of a fallback": rect('fill="var(--none, var(--neither, rgb(48,48,192)))"'),
    "parts of a colour": "<style>:root{--r:48,48}.a{fill:rgb(var(--r),192)}</style>"
    + rect('class="a"'),
    "the last one": "<style>:root{--b:red}:root{--b:#3030c0}.a{fill:var(--b)}</style>"
    + rect('class="a"'),
    "the more specific one": "<style>#a.a{fill:var(--b)}:root{--b:#3030c0}.a{fill:red}</style>"
    + rect('class="a" id="a"'),
    "overridden": "<style>:root{--b:red}.a{fill:var(--b)}.a{fill:#3030c0}</style>"
    + rect('class="a"'),
    "important": "<style>:root{--b:#3030c0}.a{fill:var(--b)!important}</style>"
    + rect('class="a" style="fill:red"'),
    "the light scheme": "<style>:root{--b:#3030c0}"
    "@media (prefers-color-scheme:dark){:root{--b:red}}.a{fill:var(--b)}</style>"
    + rect('class="a"'),
    "a gradient's stop": "<style>:root{--b:#3030c0}</style><linearGradient id='g'>"
    "<stop stop-color='var(--b)'/></linearGradient>" + rect('fill="url(#g)"'),
    "current colour": "<style>:root{--b:#3030c0}svg{color:var(--b)}</style>"
    + rect('fill="currentColor"'),
    "case": "<style>:root{--B:#3030c0;--b:red}</style>" + rect('fill="VAR(--B)"'),
    "two sheets": "<style>:root{--b:#3030c0}</style><style>.a{fill:var(--b)}</style>"
    + rect('class="a"'),
    "a font without a value": rect('style="font-family:var(--none);fill:#3030c0"'),
    "for screens": "<style>@media screen{.a{fill:#3030c0}}</style>" + rect('class="a"'),
    "for the light scheme": "<style>.a{fill:red}@media screen and (prefers-color-scheme: light)"
    "{.a{fill:#3030c0}}</style>" + rect('class="a"'),
    "for one of several media": "<style>@media print, all{.a{fill:#3030c0}}</style>"
    + rect('class="a"'),
    "not for print": "<style>.a{fill:#3030c0}@media print{.a{fill:red}}</style>"
    + rect('class="a"'),
    "not for the dark scheme": "<style>.a{fill:#3030c0}"
    "@media (prefers-color-scheme: dark){.a{fill:red}}</style>" + rect('class="a"'),
    "where it is supported": "<style>@supports (fill: red){.a{fill:#3030c0}}</style>"
    + rect('class="a"'),
    "in layers": "<style>@layer b;@layer b{@media all{:root{--b:#3030c0}.a{fill:var(--b)}}}</style>"
    + rect('class="a"'),
    "not": "<style>rect:not(.b){fill:#3030c0}</style>" + rect(""),
    "is": "<style>:is(.a, .b){fill:#3030c0}</style>" + rect('class="a"'),
    "where": "<style>:where(rect){fill:#3030c0}</style>" + rect(""),
    "has": "<style>g:has(rect){fill:#3030c0}</style><g>" + rect("") + "</g>",
    "a sibling": "<style>g ~ rect{fill:#3030c0}</style><g/><g/>" + rect(""),
    "the nth": "<style>rect:nth-of-type(2){fill:#3030c0}</style>" + rect("") + rect(""),
    "inherited from the root": "<style>:root{fill:#3030c0}</style>" + rect(""),
    "a property in capitals": "<style>.a{FILL:#3030c0}</style>" + rect('class="a"'),
    "behind marks of HTML": "<style>&lt;!-- .a{fill:#3030c0} --&gt;</style>" + rect('class="a"'),
    "a sheet before an attribute": "<style>.a{fill:#3030c0}</style>" + rect('class="a" fill="red"'),
    "a style before a sheet": "<style>.a{fill:red}</style>"
    + rect('class="a" style="fill:#3030c0"'),
    "before a broken one": "<style>.a{fill:#3030c0;fill:bogus;fill:12px}</style>"
    + rect('class="a"'),
    "with an alpha behind a slash": rect('fill="rgb(48 48 192 / 100%)"'),
    "by angle": "<style>.a{fill:hsl(240deg 60% 47.06%)}</style>" + rect('class="a"'),
    "in srgb": rect('fill="color(srgb 0.188 0.188 0.753)"'),
    "by whiteness": rect('style="fill:hwb(240 18.82% 24.71%)"'),
    "beside rules that apply nowhere": "<style>.dark{fill:oklch(0.6 0.2 30);stroke:var(--none)}"
    ".a{fill:#3030c0}</style>" + rect('class="a"'),
    "beside other declarations": "<style>:root{--b:#3030c0}.a{fill:var(--b);stroke:none}</style>"
    + rect('class="a" style="opacity:1"'),
}


@pytest.mark.parametrize("content", BLUES.values(), ids=BLUES)
def test_a_variable_has_the_value_that_browsers_give_it(content: str) -> None:
    assert middle(content) == BLUE


def test_a_variable_of_the_root_itself() -> None:
    assert middle(rect('fill="var(--b)"'), 'style="--b:#3030c0"') == BLUE


REFUSED = {
    "no value": (rect('fill="var(--brand)"'), "CSS variable --brand of fill has no value"),
    "no value in a sheet": (
        "<style>.a{fill:var(--brand)}</style>" + rect('class="a"'),
        "CSS variable --brand of fill has no value",
    ),
    "only in another scheme": (
        "<style>@media (prefers-color-scheme:dark){:root{--b:red}}.a{fill:var(--b)}</style>"
        + rect('class="a"'),
        "CSS variable --b of fill",
    ),
    "declared elsewhere": (
        f'<g style="--b:red"/>{USES_B}',
        "CSS variable --b of fill",
    ),
    "a circle": (
        "<style>:root{--a:var(--b);--b:var(--a)}.a{fill:var(--a)}</style>" + rect('class="a"'),
        "CSS variable --a of fill",
    ),
    "a function": (rect('fill="oklch(0.6 0.2 30)"'), r"CSS function oklch\(\) of fill"),
    "a function in a sheet": (
        "<style>.a{fill:color-mix(in srgb, red, blue)}</style>" + rect('class="a"'),
        r"CSS function color-mix\(\) of fill",
    ),
    "rules within rules": (
        "<style>g{rect{fill:blue}}</style><g>" + rect("") + "</g>",
        "CSS rules within rules",
    ),
    "a function in a variable": (
        "<style>:root{--b:light-dark(red, blue)}</style>" + rect('fill="var(--b)"'),
        r"CSS function light-dark\(\) of fill",
    ),
}


def test_a_paint_with_transparency_and_a_named_one() -> None:
    assert middle(rect('fill="hsl(0deg 100% 50% / 50%)"')) == (255, 127, 127)
    assert middle(rect('fill="rebeccapurple"')) == (102, 51, 153)


@pytest.mark.parametrize(("content", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_resolved_fails_by_name(content: str, says: str) -> None:
    with pytest.raises(PermanentItemError, match=says) as error:
        middle(content)
    assert error.value.reason is Reason.UNDECODABLE


def test_g8_variables_that_multiply_are_bounded() -> None:
    chain = ";".join(f"--v{n}:{f'var(--v{n + 1}) ' * 10}" for n in range(30))
    with pytest.raises(PermanentItemError):
        middle(f"<style>:root{{{chain};--v30:red}}.a{{fill:var(--v0)}}</style>" + rect('class="a"'))


def test_g8_variables_that_nest_are_bounded() -> None:
    deep = "var(--n," * 3000 + "red" + ")" * 3000
    with pytest.raises(PermanentItemError):
        middle(rect(f'fill="{deep}"'))


def test_g9_a_style_sheet_that_is_broken_costs_nothing() -> None:
    content = "<style>}} .x{ {fill:var(--b)} } @;; a[=]{fill:red} :root{--b:#3030c0}</style>"
    assert middle(content + rect('fill="#3030c0"')) == BLUE
