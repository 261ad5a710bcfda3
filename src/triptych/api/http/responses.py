"""JSON responses."""

from __future__ import annotations

from fastapi import Response
from typing_extensions import override

from triptych.wire import encode


class Json(Response):
    """A response made of wire types, which are encoded without validating them again."""

    media_type = "application/json"

    @override
    def render(self, content: object) -> bytes:
        return encode(content)
