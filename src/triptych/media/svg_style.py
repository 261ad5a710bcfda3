"""Style sheets in an SVG: what browsers know of CSS and the renderer does not is put in place.

CSS Custom Properties for Cascading Variables, level 1: a variable is declared for the elements that
a selector matches, and inherited. What is not supported is refused by name: the renderer would draw
it black without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import cssselect2
import tinycss2
from tinycss2.ast import AtRule, Declaration, FunctionBlock, QualifiedRule

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
    rf"(?<![\w-])(?:var|{'|'.join(UNSUPPORTED)})\(|@(?:media|supports|layer)", re.IGNORECASE
)
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


@dataclass(slots=True)
class Style:
    """What applies to one element."""

    variables: Mapping[str, Tokens]
    """By name, with dashes; those of its parents too, their own variables in place."""
    declared: dict[str, Declaration] = field(default_factory=dict)
    """The declaration that wins, by property."""


def needs_styling(text: str) -> bool:
    """Return whether an SVG's text may contain what `put_in_place` is for."""
    return SUSPECT.search(text) is not None


def put_in_place(root: Any) -> None:
    """Replace every variable of an SVG, of lxml, by its value, and every ``@media`` by its rules.

    ``@media`` is followed for screens in light colours, ``@supports`` and ``@layer`` always;
    ``@import`` is not, nor by browsers where an SVG is a picture.

    Raises:
        Unsupported: a variable has no value, or a colour uses a function that cannot be drawn.
    """
    matcher = cssselect2.Matcher()
    for element in root.iter(STYLE):
        element.text = _add_rules(matcher, element.text or "")
    wrapped = cssselect2.ElementWrapper.from_xml_root(root)
    styles: dict[Any, Style] = {}
    for element in wrapped.iter_subtree():
        parent = styles.get(element.parent.etree_element) if element.parent else None
        style = _style(element, matcher, parent.variables if parent else {})
        styles[element.etree_element] = style
        _write(element.etree_element, style)


def _add_rules(matcher: Any, css: str) -> str:
    """Add a sheet's rules to the matcher; return the sheet without variables."""
    kept = []
    rules = tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True)
    for rule in islice(_followed(rules, DEPTH_MAX), RULES_MAX):
        declarations = list(_declarations(rule.content))
        try:
            for selector in cssselect2.compile_selector_list(rule.prelude):
                if selector.pseudo_element is None:
                    matcher.add_selector(selector, declarations)
        except cssselect2.SelectorError:
            # A selector that is not known matches nothing, in the renderer as well.
            continue
        plain = ";".join(each.serialize() for each in declarations if not _has_variable(each))
        kept.append(f"{tinycss2.serialize(rule.prelude)}{{{plain}}}")
    return "\n".join(kept)


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


def _declarations(content: Any) -> Iterator[Declaration]:
    for each in tinycss2.parse_blocks_contents(content, skip_comments=True, skip_whitespace=True):
        if isinstance(each, Declaration):
            yield each


def _has_variable(declaration: Declaration) -> bool:
    return declaration.name.startswith("--") or "var(" in declaration.serialize().lower()


def _style(element: Any, matcher: Any, inherited: Mapping[str, Tokens]) -> Style:
    """Return what applies to an element: sheets, then its own style, then what is important."""
    own = list(_declarations(element.etree_element.get("style", "")))
    found = [each for *_, rule in matcher.match(element) for each in rule] + own
    ordered = [each for each in found if not each.important]
    ordered += [each for each in found if each.important]
    style = Style(inherited)
    variables: dict[str, Tokens] = {}
    for declaration in ordered:
        if declaration.name.startswith("--"):
            variables[declaration.name] = declaration.value
        else:
            style.declared[declaration.lower_name] = declaration
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
    own = {each.lower_name for each in _declarations(element.get("style", ""))}
    for name, declaration in style.declared.items():
        if not _has_variable(declaration):
            _check(name, tinycss2.serialize(declaration.value))
            if name in own:
                written.append(declaration.serialize())
            continue
        value = _text(name, declaration.value, style.variables)
        if value is not None:
            written.append(f"{name}:{value}{'!important' if declaration.important else ''}")
    if written or own:
        element.set("style", ";".join(written))
    for name, text in element.attrib.items():
        if name in style.declared or not SUSPECT.search(str(text)) or name == "style":
            continue
        value = _text(name, tinycss2.parse_component_value_list(str(text)), style.variables)
        element.set(name, value or "")


def _text(name: str, tokens: Tokens, variables: Mapping[str, Tokens]) -> str | None:
    """Return a property's value with its variables in place; None if it is to be left out."""
    try:
        value = str(tinycss2.serialize(_replaced(tokens, variables, DEPTH_MAX))).strip()
    except _NoValue as error:
        if name.startswith(UNSEEN):
            return None
        raise Unsupported(f"the CSS variable {error} of {name} has no value") from error
    _check(name, value)
    return value


def _check(name: str, value: str) -> None:
    unknown = UNKNOWN.search(value) if name in PAINTS else None
    if unknown is not None:
        raise Unsupported(f"the CSS function {unknown[1]}() of {name} is not supported")
