"""img2dataset: as many processes as there are cores and its default threads, as it advises.

Its processes are forked instead of spawned, so that what they import, which takes seconds of
each, is not counted: starting is excluded for everyone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path

from img2dataset import distributor, download, logger

from bench.program import Given, Ready

THREADS = 256
"""Its default."""


@contextmanager
def img2dataset(arguments: Given) -> Iterator[Ready]:
    distributor.get_context = lambda _: get_context("fork")
    logger.LoggerProcess._Popen = staticmethod(ForkProcess._Popen)
    folder = Path(arguments["folder"]) / "dataset"

    def work(order: Given) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        download(
            url_list=order["list"],
            input_format="csv",
            url_col="url",
            output_folder=str(folder),
            output_format="files",
            processes_count=arguments["processes"],
            thread_count=THREADS,
            compute_hash="sha256",
            enable_wandb=False,
            number_sample_per_shard=order["shard"],
            **arguments["options"],
        )
        kept = len(list(folder.rglob("*.jpg")))
        assert kept == order["urls"], f"{kept} of {order['urls']} images were kept"

    yield Ready(work, {"restarts": True})
