"""Answers in JSON."""

from __future__ import annotations

from fastapi import Response
from typing_extensions import override

from triptych.wire import encode


class Json(Response):
    """An answer made of wire types, which are not validated a second time on their way out."""

    media_type = "application/json"

    @override
    def render(self, content: object) -> bytes:
        return encode(content)
