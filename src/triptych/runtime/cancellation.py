"""Background work that the foreground depends on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def cancel_on_failure(work: asyncio.Task[None]) -> AsyncIterator[None]:
    """Interrupt the body with the error of ``work`` as soon as that fails.

    The body is cancelled, and the error of ``work`` replaces the cancellation. If ``work``
    ends without an error, nothing is interrupted. The caller stops the task.
    """
    body = asyncio.current_task()
    assert body is not None
    interrupted = False

    def interrupt(ended: asyncio.Task[None]) -> None:
        nonlocal interrupted
        if not ended.cancelled() and ended.exception() is not None:
            interrupted = True
            body.cancel()

    work.add_done_callback(interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if not interrupted:
            raise
        body.uncancel()
        error = work.exception()
        assert error is not None
        raise _single(error) from None
    finally:
        work.remove_done_callback(interrupt)


def _single(error: BaseException) -> BaseException:
    """Return the one error in a group of one: a task group wraps even a single failure."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
