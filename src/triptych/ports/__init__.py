"""The ports: what Triptych asks of a source, a queue, a catalogue and an embedder.

Each adapter of a port passes the same contract suite (``tests/contract``). The object store's
port is obstore's own interface. Every method that talks to a component raises that component's
`Unavailable` error when it is away, and nothing else for that cause.
"""

from triptych.ports.access import Access, ApiKey, Scope
from triptych.ports.ai import MARKS, Ai, AssetVectors, BrandCells, Marks, Published
from triptych.ports.browsing import (
    Age,
    AssetFilter,
    Browsing,
    Difference,
    FailedItem,
    KeptLetter,
    Letters,
    NearColour,
    Pace,
    PaceBucket,
    Scheduled,
    Slice,
)
from triptych.ports.catalogue import Catalogue
from triptych.embedders.embedder import Embedder
from triptych.ports.presence import BEAT_S, SILENT_S, Presence, SeenWorker, WorkerState
from triptych.queues.queue import Queue, QueueDepth
from triptych.ports.reading import FailureGroup, Feed, News, Reading
from triptych.ports.registry import DeadLetter, Due, Opened, Outgoing, Registry, Settlement
from triptych.ports.retention import Retention
from triptych.ports.search import Hit, Hits, Nearest, Points, Sample, Search, Shared
from triptych.gather.source import Page, Row, Source
from triptych.ports.steering import DueBrand, Steering
from triptych.ports.tasks import Audit, Claim, KeptAudit, Request, Task, Tasks, TaskState
from triptych.embedders.text_encoder import TextEncoder
from triptych.ports.webhooks import Webhook, Webhooks

__all__ = [
    "BEAT_S",
    "MARKS",
    "SILENT_S",
    "Access",
    "Age",
    "Ai",
    "ApiKey",
    "AssetFilter",
    "AssetVectors",
    "Audit",
    "BrandCells",
    "Browsing",
    "Catalogue",
    "Claim",
    "DeadLetter",
    "Difference",
    "Due",
    "DueBrand",
    "Embedder",
    "FailedItem",
    "FailureGroup",
    "Feed",
    "Hit",
    "Hits",
    "KeptAudit",
    "KeptLetter",
    "Letters",
    "Marks",
    "NearColour",
    "Nearest",
    "News",
    "Opened",
    "Outgoing",
    "Pace",
    "PaceBucket",
    "Page",
    "Points",
    "Presence",
    "Published",
    "Queue",
    "QueueDepth",
    "Reading",
    "Registry",
    "Request",
    "Retention",
    "Row",
    "Sample",
    "Scheduled",
    "Scope",
    "Search",
    "SeenWorker",
    "Settlement",
    "Shared",
    "Slice",
    "Source",
    "Steering",
    "Task",
    "TaskState",
    "Tasks",
    "TextEncoder",
    "Webhook",
    "Webhooks",
    "WorkerState",
]
