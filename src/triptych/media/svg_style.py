"""Style sheets in an SVG: what browsers know of CSS and the renderer does not is put in place.

The renderer knows simple selectors and the colours of CSS 2, and draws black what it does not know,
without a word. So the cascade is computed here (CSS Cascading 4, Selectors 4, Custom Properties 1),
written into each element's own style, and colours (CSS Color 4) become hexadecimal. What is not
supported is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

import cssselect2
import tinycss2
from tinycss2.ast import AtRule, Declaration, FunctionBlock, QualifiedRule
from tinycss2.color4 import parse_color

STYLE = "{http://www.w3.org/2000/svg}style"
RULES_MAX = 10_000
VALUE_MAX = 10_000
"""Tokens in one value, once its variables are in place."""
DEPTH_MAX = 50
"""Variables within variables, and functions within functions."""
PAINTS = frozenset({"fill", "stroke", "color", "stop-color", "flood-color", "lighting-color"})
UNSUPPORTED = (
    *("color", "color-mix", "hwb", "lab", "lch", "oklab", "oklch", "light-dark", "contrast-color"),
    *("device-cmyk", "calc", "env", "attr", "if", "min", "max", "clamp"),
)
"""Functions in colours that browsers know and the renderer does not."""
UNKNOWN = re.compile(rf"(?<![\w-])({'|'.join(UNSUPPORTED)})\(", re.IGNORECASE)
SUSPECT = re.compile(
    rf"(?<![\w-])(?:var|{'|'.join(UNSUPPORTED)})\(|<(?:[\w-]+:)?style[\s>]"
    r"|(?<![\w-])(?:rgb|hsl)a?\([^()]*[/dntr]|rebeccapurple",
    re.IGNORECASE,
)
"""What the renderer may not know: functions, style sheets, and colours of CSS 3 and 4."""
PLAIN = re.compile(r"#[0-9a-f]{3,8}|none|inherit|currentcolor|url\(.*", re.IGNORECASE | re.DOTALL)
"""Paints that need no change."""
KEYWORDS = frozenset({"initial", "unset", "revert", "context-fill", "context-stroke"})
PAINTS_CACHED = 4096
FOLLOWED = frozenset({"supports", "layer"})
"""At-rules whose rules apply: what is supported is what browsers support."""
SCREEN = re.compile(
    r"(?:all|(?:only\s+)?screen|not\s+print)?(?:\s+and\s+)?"
    r"(?:\(\s*prefers-color-scheme\s*:\s*light\s*\))?",
    re.IGNORECASE,
)
"""Media queries that hold: a screen, in light colours. Those of sizes are not followed."""
UNSEEN = ("font", "text", "transition", "animation", "cursor", "pointer", "will", "letter", "-")
"""How properties begin that change no colour: one whose variable has no value is left out."""
Tokens = Sequence[Any]


class Unsupported(Exception):
    """The text of the error says what the style sheet needs."""


@dataclass(frozen=True, slots=True)
class Said:
    """A declaration."""

    name: str
    tokens: Tokens
    value: str | None
    """As the renderer takes it; None while variables are in it, if it is one, and if it is refused
    where it applies."""
    important: bool


@dataclass(slots=True)
class Style:
    """What applies to one element."""

    variables: Mapping[str, Tokens]
    """By name, with dashes; those of its parents too, their own variables in place."""
    declared: dict[str, Said] = field(default_factory=dict)
    """The declaration that wins, by property."""


def needs_styling(text: str) -> bool:
    """Return whether an SVG's text may contain what `put_in_place` is for."""
    return SUSPECT.search(text) is not None


def put_in_place(root: Any) -> None:
    """Write into each element of an SVG, of lxml, what its style sheets say; remove these.

    Variables are replaced by their values, and colours by ones that the renderer knows.
    ``@media`` is followed for screens in light colours, ``@supports`` and ``@layer`` always;
    ``@import`` is not, nor by browsers where an SVG is a picture.

    Raises:
        Unsupported: a variable has no value, or a colour or nested rules cannot be drawn.
    """
    matcher = cssselect2.Matcher()
    for element in root.iter(STYLE):
        _add_rules(matcher, element.text or "")
        element.text = ""
    wrapped = cssselect2.ElementWrapper.from_xml_root(root)
    styles: dict[Any, Style] = {}
    for element in wrapped.iter_subtree():
        parent = styles.get(element.parent.etree_element) if element.parent else None
        style = _style(element, matcher, parent.variables if parent else {})
        styles[element.etree_element] = style
        _write(element.etree_element, style)


def _add_rules(matcher: Any, css: str) -> None:
    rules = tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True)
    for rule in islice(_followed(rules, DEPTH_MAX), RULES_MAX):
        declarations = list(_declarations(rule.content))
        try:
            for selector in cssselect2.compile_selector_list(rule.prelude):
                if selector.pseudo_element is None:
                    matcher.add_selector(selector, declarations)
        except cssselect2.SelectorError:
            # One that is broken matches nothing, in browsers as well.
            continue


def _followed(rules: Iterable[Any], depth: int) -> Iterator[QualifiedRule]:
    """Yield the rules that apply, those within at-rules too."""
    for rule in rules:
        if isinstance(rule, QualifiedRule):
            yield rule
        elif isinstance(rule, AtRule) and rule.content is not None and depth > 0 and _holds(rule):
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            yield from _followed(inner, depth - 1)


def _holds(rule: AtRule) -> bool:
    if rule.lower_at_keyword in FOLLOWED:
        return True
    queries = tinycss2.serialize(rule.prelude).split(",")
    return rule.lower_at_keyword == "media" and any(
        SCREEN.fullmatch(query.strip()) for query in queries
    )


def _declarations(content: Any) -> Iterator[Said]:
    """Yield what browsers take of a block or a style attribute."""
    for each in tinycss2.parse_blocks_contents(content, skip_comments=True, skip_whitespace=True):
        if isinstance(each, Declaration):
            text = str(tinycss2.serialize(each.value)).strip()
            variable = each.name.startswith("--")
            name = each.name if variable else each.lower_name
            if variable or "var(" in text.lower():
                yield Said(name, each.value, None, each.important)
            elif name not in PAINTS or _is_paint(text):
                yield Said(name, each.value, _known(name, text), each.important)
        elif isinstance(each, QualifiedRule) and tinycss2.serialize(each.prelude).strip():
            raise Unsupported("CSS rules within rules are not supported")


def _style(element: Any, matcher: Any, inherited: Mapping[str, Tokens]) -> Style:
    """Return what applies to an element: sheets, then its own style, then what is important."""
    text = element.etree_element.get("style")
    found = [each for *_, rule in matcher.match(element) for each in rule]
    if text:
        found += _declarations(text)
    style = Style(inherited)
    variables: dict[str, Tokens] = {}
    for said in [*(s for s in found if not s.important), *(s for s in found if s.important)]:
        if said.name.startswith("--"):
            variables[said.name] = said.tokens
        else:
            style.declared[said.name] = said
    if variables:
        style.variables = _resolved(variables, inherited)
    return style


def _resolved(own: Mapping[str, Tokens], inherited: Mapping[str, Tokens]) -> Mapping[str, Tokens]:
    """Return all variables, with those that they name in place; without those that are invalid."""
    values = {name: value for name, value in inherited.items() if name not in own}
    left = dict(own)
    # One that names others waits for them; what remains waits for itself, or for nothing.
    for _ in range(DEPTH_MAX):
        ready = {
            name: value
            for name, value in left.items()
            if not any(needed in left for needed in _needed(value, DEPTH_MAX))
        }
        for name, value in ready.items():
            del left[name]
            try:
                values[name] = list(_replaced(value, values, DEPTH_MAX))
            except _NoValue:
                continue
        if not ready:
            break
    return values


def _needed(tokens: Tokens, depth: int) -> Iterator[str]:
    """Yield the names of the variables that a value uses."""
    if depth <= 0:
        return
    for token in tokens:
        inner = getattr(token, "arguments", None) or getattr(token, "content", None)
        if isinstance(token, FunctionBlock) and token.lower_name == "var":
            yield _name(token)
        if inner:
            yield from _needed(inner, depth - 1)


def _name(function: FunctionBlock) -> str:
    names = [each.value for each in function.arguments if each.type == "ident"]
    return names[0] if names else ""


class _NoValue(Exception):
    """Its text is the variable's name."""


def _replaced(tokens: Tokens, variables: Mapping[str, Tokens], depth: int) -> list[Any]:
    """Return a value with its variables in place.

    Raises:
        _NoValue: a variable without a value and without a fallback.
        Unsupported: the value is too long or too deep.
    """
    result: list[Any] = []
    for token in tokens:
        if depth <= 0 or len(result) > VALUE_MAX:
            raise Unsupported("a CSS value is too long")
        if isinstance(token, FunctionBlock) and token.lower_name == "var":
            result += _value(token, variables, depth - 1)
        elif isinstance(token, FunctionBlock):
            arguments = _replaced(token.arguments, variables, depth - 1)
            result.append(
                FunctionBlock(token.source_line, token.source_column, token.name, arguments)
            )
        else:
            result.append(token)
    return result


def _value(function: FunctionBlock, variables: Mapping[str, Tokens], depth: int) -> list[Any]:
    name = _name(function)
    if name in variables:
        return list(variables[name])
    commas = [at for at, each in enumerate(function.arguments) if each == ","]
    if not commas:
        raise _NoValue(name)
    return _replaced(function.arguments[commas[0] + 1 :], variables, depth)


def _write(element: Any, style: Style) -> None:
    """Write values in place of variables: into the element's own style, and into its attributes."""
    written = []
    for name, said in style.declared.items():
        value = said.value or _text(name, said.tokens, style.variables)
        if value is not None:
            written.append(f"{name}:{value}")
    if written or "style" in element.attrib:
        element.set("style", ";".join(written))
    for name, text in element.attrib.items():
        if name == "style" or name in style.declared:
            continue
        if "var(" in str(text).lower():
            value = _text(name, tinycss2.parse_component_value_list(str(text)), style.variables)
            element.set(name, value or "")
        elif name in PAINTS:
            element.set(name, _paint(name, str(text)))


def _text(name: str, tokens: Tokens, variables: Mapping[str, Tokens]) -> str | None:
    """Return a property's value with its variables in place; None if it is to be left out."""
    try:
        value = str(tinycss2.serialize(_replaced(tokens, variables, DEPTH_MAX))).strip()
    except _NoValue as error:
        if name.startswith(UNSEEN):
            return None
        raise Unsupported(f"the CSS variable {error} of {name} has no value") from error
    return _paint(name, value) if name in PAINTS else value


def _known(name: str, text: str) -> str | None:
    try:
        return _paint(name, text) if name in PAINTS else text
    except Unsupported:
        # A rule that applies nowhere costs nothing.
        return None


@lru_cache(maxsize=PAINTS_CACHED)
def _paint(name: str, value: str) -> str:
    """Return a paint as the renderer knows it: a colour as #rrggbbaa, others as they are."""
    if PLAIN.fullmatch(value):
        return value
    colour = parse_color(value)
    try:
        if colour is not None and not isinstance(colour, str):
            parts = [*colour.to("srgb").coordinates, colour.alpha]
            return "#" + "".join(f"{round(min(max(part, 0), 1) * 255):02x}" for part in parts)
    except NotImplementedError as error:
        raise Unsupported(_not_supported(name, value.partition("(")[0].strip())) from error
    unknown = UNKNOWN.search(value)
    if unknown is not None:
        raise Unsupported(_not_supported(name, unknown[1]))
    return value


def _not_supported(name: str, function: str) -> str:
    return f"the CSS function {function}() of {name} is not supported"


@lru_cache(maxsize=PAINTS_CACHED)
def _is_paint(value: str) -> bool:
    if PLAIN.fullmatch(value) or value.lower() in KEYWORDS or UNKNOWN.search(value):
        return True
    return parse_color(value) is not None
