"""The only room that knows which adapter stands behind which port.

`triptych.wiring.web` is imported where it is needed: workers do without a web framework.
"""

from triptych.wiring.components import (
    open_embedder,
    open_objects,
    open_summary,
    open_text_encoder,
    open_thumbnails,
)
from triptych.wiring.database import (
    Parts,
    connect,
    migrate_database,
    own_database,
    reach_database,
)
from triptych.wiring.worker import check_wiring, open_worker

__all__ = [
    "Parts",
    "check_wiring",
    "connect",
    "migrate_database",
    "open_embedder",
    "open_objects",
    "open_summary",
    "open_text_encoder",
    "open_thumbnails",
    "open_worker",
    "own_database",
    "reach_database",
]
