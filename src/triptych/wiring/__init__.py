"""The only room that knows which adapter stands behind which port."""

from triptych.wiring.components import open_embedder, open_objects
from triptych.wiring.database import (
    Parts,
    connect,
    migrate_database,
    own_database,
    reach_database,
)
from triptych.wiring.web import open_gate, open_web
from triptych.wiring.worker import check_wiring, open_worker

__all__ = [
    "Parts",
    "check_wiring",
    "connect",
    "migrate_database",
    "open_embedder",
    "open_gate",
    "open_objects",
    "open_web",
    "open_worker",
    "own_database",
    "reach_database",
]
