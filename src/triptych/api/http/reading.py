"""What all immediate reads of snapshots have in common: `fresh`, and the headers of their answers.

Cross-origin pages do not use the API, so there is no list of headers that they may see.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field

from triptych.api.http.problems import documented
from triptych.errors import TriptychError
from triptych.reads.reads import Answer

SNAPSHOT = "Snapshot"
LAG = "Snapshot-Lag"
LAG_UNKNOWN = "unknown"

FRESH = (
    "Read the system of record, Postgres, even where MongoDB answers reads: for those who want to "
    "see at once what they have just changed."
)
Fresh = Annotated[bool, Query(description=FRESH)]


class FreshAsked(BaseModel):
    """Part of the query of a read that may be answered by MongoDB."""

    fresh: Annotated[bool, Field(description=FRESH)] = False


_SNAPSHOT_HEADER: Mapping[str, Any] = MappingProxyType(
    {
        "description": "The run of the snapshot that this is read from; absent if there is none.",
        "schema": {"type": "string", "format": "uuid"},
    }
)
_LAG_HEADER: Mapping[str, Any] = MappingProxyType(
    {
        "description": "Seconds since something was published that this does not show, because it "
        "was read from MongoDB, which is behind; `unknown` if Postgres does not say. Absent if it "
        "shows all. Of several brands it is that of the one that is behind the furthest.",
        "schema": {"type": "string", "pattern": f"^([1-9][0-9]*|{LAG_UNKNOWN})$"},
    }
)


def read_answers(
    *errors: type[TriptychError] | int, of_snapshot: bool = True
) -> dict[int | str, dict[str, Any]]:
    """Describe the answers of a read: its headers, and its own problems."""
    headers = {SNAPSHOT: dict(_SNAPSHOT_HEADER)} if of_snapshot else {}
    return {200: {"headers": headers | {LAG: dict(_LAG_HEADER)}}, **documented(*errors)}


def read_headers(answer: Answer[Any], run_id: UUID | None = None) -> dict[str, str]:
    """Return the headers of an answer, which is read from the snapshot of a run, if of one."""
    headers = {} if run_id is None else {SNAPSHOT: str(run_id)}
    if answer.lag_s is None:
        headers[LAG] = LAG_UNKNOWN
    elif answer.lag_s > 0:
        headers[LAG] = str(math.ceil(answer.lag_s))
    return headers
