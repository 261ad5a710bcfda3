"""The protocol as an AsyncAPI 3 document, from the frames' own models."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from triptych.live.limits import FRAME_MAX_BYTES, PING_S, RUN_EVERY_S, Limits
from triptych.live.live_app import PATH
from triptych.live.protocol import (
    PROTOCOL,
    SERVER_FRAMES,
    SUBPROTOCOL,
    Ping,
    Subscribe,
    Unsubscribe,
)

CLIENT_FRAMES: tuple[type[BaseModel], ...] = (Subscribe, Unsubscribe, Ping)


def asyncapi() -> dict[str, Any]:
    """Return the document."""
    frames = (*CLIENT_FRAMES, *SERVER_FRAMES)
    _, schemas = models_json_schema(
        [(frame, "validation" if frame in CLIENT_FRAMES else "serialization") for frame in frames],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Triptych live status",
            "version": f"{PROTOCOL}.0.0",
            "description": _description(),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {"host": "127.0.0.1:8701", "protocol": "ws", "description": "`triptych live`"}
        },
        "channels": {
            "live": {
                "address": PATH,
                "messages": {
                    frame.__name__: {"$ref": f"#/components/messages/{frame.__name__}"}
                    for frame in frames
                },
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        "operations": {
            "say": _operation("receive", "Frames that clients may send.", CLIENT_FRAMES),
            "hear": _operation("send", "Frames that the server sends.", SERVER_FRAMES),
        },
        "components": {
            "messages": {frame.__name__: _message(frame) for frame in frames},
            "schemas": schemas["$defs"],
        },
    }


def _description() -> str:
    limits = Limits()
    return (
        f"Frames are JSON text. The subprotocol is `{SUBPROTOCOL}`, or none. A client's frame has "
        f"at most {FRAME_MAX_BYTES} bytes. A client sends at most {limits.frames_per_s:g} frames a "
        f"second and has at most {limits.subscriptions} topics. A topic's state is sent whole; a "
        f"run's at most once in {RUN_EVERY_S:g} s, but its last state always. The server pings "
        f"every {PING_S:g} s."
    )


def _operation(action: str, summary: str, frames: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/live"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/live/messages/{frame.__name__}"} for frame in frames],
    }


def _message(frame: type[BaseModel]) -> dict[str, Any]:
    return {
        "name": frame.__name__,
        "summary": (frame.__doc__ or "").strip(),
        "payload": {"$ref": f"#/components/schemas/{frame.__name__}"},
    }
