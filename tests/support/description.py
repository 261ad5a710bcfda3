"""The API's description, made once a process: that takes most of a CPU second."""

from __future__ import annotations

import functools
from typing import Any

from triptych.api.app import create_app


@functools.cache
def described() -> dict[str, Any]:
    """Return the OpenAPI document of all operations. Copy what is to be changed."""
    return create_app(None).openapi()
