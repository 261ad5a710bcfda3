"""Messages that no worker can process: the kinds that are known, and arbitrary ones by seed."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from triptych.messages import AI_QUEUE, GATHER_QUEUE, URL_QUEUE

DEEP = 5_000
"""Levels: beyond every parser, within what Postgres accepts as jsonb."""
MEGABYTE = 1_000_000

BODIES: Mapping[str, str] = {
    "null": "null",
    "number": "17",
    "text": '"urls"',
    "list": '[{"brand": "nike"}]',
    "empty": "{}",
    "beyond a double": '{"brand": "nike", "url": "http://h/1", "metadata": {"price": 1e400}}',
    "deep": '{"brand": "nike", "url": "http://h/1", "metadata": '
    + '{"a": ' * DEEP
    + "1"
    + "}" * DEEP
    + "}",
    "deeper than encoders": '{"brand": "nike", "url": "http://h/1", "metadata": {"a": '
    + "[" * 240
    + "]" * 240
    + "}}",
    "wrong types": '{"brand": 7, "url": [], "metadata": null}',
    "huge": '{"brand": "nike", "url": "' + "x" * MEGABYTE + '", "metadata": {}}',
    "brand too long": '{"brand": "' + "n" * 5_000 + '"}',
    "not a brand": '{"brand": "a/b"}',
    "no metadata object": '{"brand": "nike", "url": "http://h/1", "metadata": 5}',
    "more fields": '{"brand": "nike", "url": "http://h/1", "metadata": {}, "key": 1}',
}
"""JSON texts that each queue accepts and no phase does."""

NOT_JSONB: Mapping[str, str] = {
    "nothing in it": " ",
    "no json": "brand=nike",
    "cut": '{"brand": "ni',
    "lone surrogate": '{"brand": "\\ud800"}',
    "nul": '{"brand": "ni\\u0000ke"}',
    "nan": '{"brand": NaN}',
    "infinity": '{"brand": "nike", "url": "http://h/1", "metadata": {"p": -Infinity}}',
    "very deep": "[" * 200_000,
    "html": "<html>502 Bad Gateway</html>",
}
"""Further texts that SQS accepts."""

HEADERS: Mapping[str, str] = {
    "beyond a double": '{"x": -1e999}',
    "deep": '{"x": ' + "[" * DEEP + "]" * DEEP + "}",
    "list": '["triptych-run"]',
    "text": '"triptych-run"',
    "no uuid": '{"triptych-run": "7"}',
    "not of that length": '{"triptych-item": "abcd"}',
    "of tomorrow": '{"triptych-version": "99"}',
}
"""Headers that pgmq accepts and no phase does."""

VALID_BODY: Mapping[str, str] = {
    GATHER_QUEUE: '{"brand": "nobody"}',
    URL_QUEUE: '{"brand": "nobody", "url": "http://h/1", "metadata": {}}',
    AI_QUEUE: '{"brand": "nobody"}',
}


def arbitrary_json(chance: random.Random, levels: int = 4) -> Any:
    """Return a JSON value that is the body of no phase."""
    kinds = ["null", "flag", "number", "text", "list", "object"][: 6 if levels else 4]
    match chance.choice(kinds):
        case "null":
            return None
        case "flag":
            return chance.random() < 0.5
        case "number":
            return chance.choice([0, -1, 2**63, 10**400, 1.5e300, chance.getrandbits(70)])
        case "text":
            letters = [chance.choice("a\"\\/ \t\né☃😀\x7f'{}") for _ in range(chance.randrange(9))]
            return "".join(letters)
        case "list":
            return [arbitrary_json(chance, levels - 1) for _ in range(chance.randrange(5))]
        case _:
            names = chance.sample(["url", "metadata", "Brand", "", "a", "😀"], chance.randrange(5))
            return {name: arbitrary_json(chance, levels - 1) for name in names}


def arbitrary_text(chance: random.Random) -> str:
    """Return what SQS accepts as a body: JSON, JSON that was damaged, or any characters."""
    text = json.dumps(arbitrary_json(chance), ensure_ascii=chance.random() < 0.5)
    cut = chance.randrange(len(text) + 1)
    damaged = text[:cut] + chance.choice(["", "}", "\\", "😀", "\ufffd"]) + text[cut:]
    return chance.choice([text, damaged, text[:cut]]).replace("\x7f", "") or "?"
