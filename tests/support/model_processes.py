"""What several processes do at once to a folder of models.

They import this module, and no more of the program than what each of them does needs.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych.embedders.known_models import KnownModel

PROCESSES = 3
PATIENCE_S = 120.0
MODEL_MAX_BYTES = 1024 * 1024
LOOPBACK = ip_network("127.0.0.0/8")


def convert(folder: str) -> None:
    from triptych.embedders.bundled import bundled_model

    bundled_model(Path(folder))


def fetch_by_url(url: str, folder: str) -> None:
    from triptych.embedders.download import fetched_model
    from triptych.fetch.guard import AddressGuard

    fetched_model(url, Path(folder), guard=AddressGuard([LOOPBACK]), max_bytes=MODEL_MAX_BYTES)


def fetch_by_name(url: str, model: KnownModel, folder: str) -> None:
    from triptych.embedders.download import fetched_known_model
    from triptych.fetch.guard import AddressGuard

    fetched_known_model(
        model,
        url,
        Path(folder),
        guard=AddressGuard([LOOPBACK]),
        max_bytes=MODEL_MAX_BYTES,
        say=lambda *_: None,
    )


def at_once(work: Callable[..., None], *arguments: Any) -> None:
    """Do the same in several processes at once; fail unless all of them succeed."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=arguments) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_S)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
