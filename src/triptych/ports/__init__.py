"""The ports: what Triptych asks of a source, a queue, a catalogue and an embedder.

Each adapter of a port passes the same contract suite (``tests/contract``). The object store's
port is obstore's own interface. Every method that talks to a component raises that component's
`Unavailable` error when it is away, and nothing else for that cause.
"""

from triptych.ports.ai import MARKS, Ai, AssetVectors, Marks, Published
from triptych.ports.catalogue import Catalogue
from triptych.ports.embedder import Embedder
from triptych.ports.queue import Queue, QueueDepth
from triptych.ports.reading import FailureGroup, Feed, News, Reading
from triptych.ports.registry import (
    DeadLetter,
    Due,
    Opened,
    Outgoing,
    Registry,
    Settlement,
)
from triptych.ports.retention import Retention
from triptych.ports.source import Page, Row, Source
from triptych.ports.text import TextEncoder
from triptych.ports.webhooks import Webhook, Webhooks

__all__ = [
    "MARKS",
    "Ai",
    "AssetVectors",
    "Catalogue",
    "DeadLetter",
    "Due",
    "Embedder",
    "FailureGroup",
    "Feed",
    "Marks",
    "News",
    "Opened",
    "Outgoing",
    "Page",
    "Published",
    "Queue",
    "QueueDepth",
    "Reading",
    "Registry",
    "Retention",
    "Row",
    "Settlement",
    "Source",
    "TextEncoder",
    "Webhook",
    "Webhooks",
]
