"""Reading what a queue delivers: a message that cannot be read has its problem and fails no other.

Anyone who may send to a queue can put anything into it.
"""

from __future__ import annotations

from collections.abc import Mapping

from triptych.errors import InvalidMessage
from triptych.messages import HEADER_UNREADABLE, UNREADABLE_MAX_CHARS
from triptych.runtime.json_values import UnreadableJson


def readable_body(body: object) -> InvalidMessage | None:
    """Return what is wrong with a body that `read_json` returned; None if nothing is."""
    if isinstance(body, UnreadableJson):
        return InvalidMessage(
            f"Not JSON that can be read ({body.problem}).",
            field="body",
            remedy="Send a JSON object in UTF-8.",
        )
    return None


def readable_headers(headers: object) -> tuple[dict[str, str], InvalidMessage | None]:
    """Return headers that `read_json` returned as texts, and what is wrong with them.

    Headers that are no object are kept in `HEADER_UNREADABLE`.
    """
    if headers is None:
        return {}, None
    if isinstance(headers, Mapping):
        return {str(name): str(value) for name, value in headers.items()}, None
    detail = f" ({headers.problem})" if isinstance(headers, UnreadableJson) else ""
    problem = InvalidMessage(
        f"Not a JSON object that can be read{detail}.",
        field="headers",
        remedy="Send an object of texts, or none.",
    )
    return {HEADER_UNREADABLE: str(headers)[:UNREADABLE_MAX_CHARS]}, problem
