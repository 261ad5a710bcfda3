"""The only room that knows which adapter stands behind which port.

`triptych.wiring.web_server` is imported where it is needed: workers do without a web framework.
"""

from triptych.wiring.components import (
    open_embedder,
    open_objects,
    open_summary,
    open_text_encoder,
    open_thumbnails,
)
from triptych.wiring.database import Parts, connect, migrate_database, own_database, reach_database
from triptych.wiring.worker_wiring import (
    check_wiring,
    dead_letter_handler,
    open_caretakers,
    open_stations,
    open_worker,
)

__all__ = [
    "Parts",
    "check_wiring",
    "connect",
    "dead_letter_handler",
    "migrate_database",
    "open_caretakers",
    "open_embedder",
    "open_objects",
    "open_stations",
    "open_summary",
    "open_text_encoder",
    "open_thumbnails",
    "open_worker",
    "own_database",
    "reach_database",
]
