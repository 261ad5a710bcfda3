"""Results for programs: JSON, each noun as the API shows it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import orjson
import typer

from triptych.api.http.responses import asset
from triptych.live.states import brand_state, queue_state, run_state
from triptych.model import Asset, Brand, Reason, Run
from triptych.queues.queue import QueueDepth
from triptych.runs.failure_reasons import EXPLAINED
from triptych.runs.run_store import FailureGroup
from triptych.snapshots.search_service import Match

OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


def print_json(value: object) -> None:
    """Print one JSON document."""
    typer.echo(orjson.dumps(value, _plain, OPTIONS | orjson.OPT_INDENT_2).decode())


def print_json_line(value: object) -> None:
    """Print one JSON document on one line, for streams."""
    typer.echo(orjson.dumps(value, _plain, OPTIONS).decode())


def _plain(value: object) -> Any:
    match value:
        case Run():
            return run_state(value)
        case Brand():
            return brand_state(value)
        case Asset():
            return asset(value)
        case QueueDepth():
            return queue_state(value)
        case Match(asset=found, similarity=similarity, score=score):
            return {"similarity": similarity, "score": score, "asset": found}
        case FailureGroup(reason=reason):
            about = EXPLAINED[Reason(reason)]
            meaning = {"meaning": about.meaning, "redrive": about.redrive}
            return {"reason": reason, "count": value.count, **meaning, "examples": value.examples}
        case Path():
            return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError
