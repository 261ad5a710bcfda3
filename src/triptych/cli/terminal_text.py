"""Text for a terminal: what it would act on does not reach it.

A terminal acts on C0 and C1 control characters (ECMA-48), and so may the text of a server, a list
or a brand that has them; Unicode's bidirectional controls show a text in another order than it has.
"""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"
_BEYOND_ASCII = re.compile("[\x7f-\U0010ffff]")


def printable(text: str, *, lines: bool = False) -> str:
    """Return a text with `REPLACEMENT` for each character that is not printable.

    ``lines``: line feeds and tabs stay.
    """
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else REPLACEMENT for c in text)


def printable_json(text: str) -> str:
    r"""Return JSON with ``\\u00xx`` for each character that is not printable; it means the same.

    Line feeds between values stay. Encoders have escaped C0 controls already (RFC 8259 §7).
    """
    return text if text.isascii() and "\x7f" not in text else _BEYOND_ASCII.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
