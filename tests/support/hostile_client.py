"""A client of a hostile server, and what each command is run with on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_type_hints
from uuid import UUID

from tests.support.hostile_values import CONTROLS, HOSTILE, hostile_stream, hostile_value
from triptych.api.exports import ExportFormatShown
from triptych.api.history import HistoryEntry
from triptych.api.limits import Hosts, PhaseState
from triptych.api.pictures import PictureShown
from triptych.api.run_bulk import BulkResult
from triptych.api.schedules import SchedulePreview
from triptych.api.sources import SourceTypeShown
from triptych.api.system import Setting
from triptych.api.tasks import IdentityShown
from triptych.api.uploads import UploadShown
from triptych.api.webhooks import WebhookMade
from triptych.client.client import Client
from triptych.tasks.task_store import Task

RUN = str(UUID(int=7))
API_TYPES = {
    kind.__name__: kind
    for kind in (
        *(
            BulkResult,
            ExportFormatShown,
            HistoryEntry,
            Hosts,
            IdentityShown,
            PhaseState,
            PictureShown,
        ),
        *(SchedulePreview, Setting, SourceTypeShown, UploadShown, WebhookMade),
    )
}
"""Types that the client imports only where it needs them: they come with FastAPI."""
COMMANDS: dict[str, list[str]] = {
    "check": ["manifest:x.csv", "--server", "http://127.0.0.1:1"],
    "submit": ["nike", "--source", "manifest:x.csv"],
    "status": [],
    "status of a run": [RUN],
    "runs": [],
    "failures": [RUN],
    "assets": ["nike"],
    "assets of a snapshot": ["nike", "--snapshot", RUN],
    "asset": ["id"],
    "search": ["shoe"],
    "facets": ["nike"],
    "near": ["nike"],
    "compare": ["nike", "puma"],
    "schedule": ["nike"],
    "ai": ["nike"],
    "delete": ["nike", "--yes"],
    "sources": [],
    "timeline": [RUN],
    "workers": [],
    "me": [],
    "tasks": [],
    "audit": [],
    "webhooks list": [],
    "webhooks create": ["https://x.example"],
    "webhooks deliveries": [RUN],
    "similar": ["id"],
    "insights": ["nike"],
    "insights at length": ["nike", "--verbose"],
    "report": ["nike", "--to", "report"],
    "export": ["nike", "--to", "out"],
    "snapshots": ["nike"],
    "diff": ["nike", RUN],
    "restore": ["nike", str(UUID(int=8)), "--yes"],
    "history": ["nike"],
    "schedule of cron": ["nike", "0 3 * * 1", "--preview"],
    "items": [RUN],
    "retry": [RUN, "00"],
    "skip": [RUN, "00"],
    "phases list": [],
    "phases pause": ["gather"],
    "phases resume": ["gather"],
    "phases limit": ["gather", "4"],
    "hosts list": [],
    "models list": [],
    "hosts pause": ["x.example"],
    "hosts resume": ["x.example"],
    "hosts limit": ["x.example", "--per-second", "2"],
    "hosts reset": ["x.example"],
    "upload": ["/dev/null"],
    "uploads list": [],
    "uploads show": [RUN],
    "pause": [RUN],
    "pause of many": [RUN, "nike"],
    "resume": [RUN],
    "cancel": [RUN],
    "publish": [RUN],
    "discard": [RUN],
    "redrive": [RUN],
    "reembed": ["nike"],
    "doctor": [],
    "settings": [],
    "dead-letters list": [],
    "keys list": [],
    "reads status": [],
    "verify": [],
}
"""What each command is run with. After `` of `` or `` at `` it is the same command once more."""


class HostileClient:
    """A client of a hostile server: its methods return what `Client`'s are annotated with."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        """The methods that were called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        self.asked.append(name)
        kind = get_type_hints(getattr(Client, name), localns=API_TYPES)["return"]
        if str(kind).startswith("collections.abc.AsyncIterator"):
            return lambda *_, **__: hostile_stream(get_args(kind)[0])

        async def answer(*_: object, **__: object) -> Any:
            return hostile_value(kind)

        return answer

    async def export(self, *_: object) -> Task:
        self.asked.append("export")
        files = [{"name": f"a{CONTROLS.replace('/', '')}[blink]"}]
        task: Task = hostile_value(Task)
        task.result.update(files=files, assets=1, notes=[HOSTILE])  # type: ignore[attr-defined]
        return task

    async def fetch_file(self, *_: object) -> None:
        self.asked.append("fetch_file")
