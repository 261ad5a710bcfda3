"""The items of a run: where each is and what it waits for, retrying them and letting them go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import Query, Request
from pydantic import AfterValidator, Field

from triptych.api.http.auth import Operating
from triptych.api.http.dependencies import ApiContext, Context
from triptych.api.http.idempotency import IdempotencyKey, Operation, Outcome, run_idempotent
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.request_models import Given, PageAsked
from triptych.api.http.responses import Json
from triptych.errors import Conflict, InvalidCursor, InvalidUrl, RunEnded, RunNotFound
from triptych.gather.urls import item_key, normalise
from triptych.messages import URL_MAX_CHARS
from triptych.model import KEY_BYTES, Reason, RunState
from triptych.runs.item_steering import ItemSteering, Steered
from triptych.runs.item_store import (
    STEERED_MAX,
    ItemCounts,
    ItemFilter,
    ItemStanding,
    RunItem,
    host_of,
)
from triptych.shown_url import shown_text, without_credentials
from triptych.tasks.task_store import Task, TaskState
from triptych.wire import Page

HOST_MAX_CHARS = 300
"""A name has at most 253, an address fewer; a port follows."""


def searchable(text: str | None) -> str | None:
    """Return text that is looked for in the form in which it would be stored: without NUL."""
    return None if text is None else text.replace("\x00", "\ufffd")


router = ResourceRouter("runs")
operations = ResourceRouter("operations")


ItemKey = Annotated[
    str,
    Field(
        pattern=rf"^[0-9a-f]{{{2 * KEY_BYTES}}}$",
        description="An item's `key`.",
        examples=["00112233445566778899aabbccddeeff"],
    ),
]


class ItemsAsked(PageAsked):
    """The filters and the page of a listing of items."""

    state: Annotated[ItemStanding | None, Field()] = None
    host: Annotated[
        str | None,
        Field(max_length=HOST_MAX_CHARS, description="As the items name it, with its port."),
        AfterValidator(searchable),
    ] = None
    reason: Annotated[
        Reason | None, Field(description="Why it failed, or why its last attempt did.")
    ] = None
    url: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=URL_MAX_CHARS,
            description="A whole URL, or text that is somewhere in one, whatever its case.",
        ),
        AfterValidator(searchable),
    ] = None


class ItemsGiven(Given):
    """Which items of a run."""

    keys: Annotated[list[ItemKey], Field(min_length=1, max_length=STEERED_MAX)]

    def named(self) -> Sequence[bytes]:
        """Return the keys, each once, in their order."""
        return [bytes.fromhex(key) for key in dict.fromkeys(self.keys)]


@router.get(
    "/runs/{run}/items",
    response_model=Page[RunItem],
    summary="List the items of a run",
    responses=documented(RunNotFound, InvalidCursor),
)
async def list_items(context: Context, run: UUID, asked: Annotated[ItemsAsked, Query()]) -> Json:
    """Each with where it is, its attempts and last error, and when it is tried next.

    In order of dispatch. A page looks through 50,000 items at most, so with a filter it may be
    short, or empty, and still have a `next`. An item whose whole URL is `url` is found at once,
    and is a page by itself.
    """
    listing = f"items/{run}"
    position = context.cursors.read(listing, asked)
    await context.stores.runs.run(run)
    found = await context.stores.items.page(
        run, _filter(asked), after=position[0] if position else None, limit=asked.limit
    )
    following = None if found.next is None else [found.next]
    items = [_shown(item) for item in found.rows]
    return Json(Page(items, context.cursors.write(listing, asked, following)))


def _filter(asked: ItemsAsked) -> ItemFilter:
    key = None
    if asked.url is not None:
        try:
            key = item_key(normalise(asked.url))
        except InvalidUrl:
            key = None  # It is a part of a URL, and is looked for.
    host = None if asked.host is None else asked.host.lower()
    return ItemFilter(asked.state, host, asked.reason, asked.url, key)


def _shown(item: RunItem) -> RunItem:
    url = without_credentials(item.url)
    detail = item.detail and shown_text(item.detail)
    return msgspec.structs.replace(item, url=url, host=host_of(url), detail=detail)


@router.get(
    "/runs/{run}/items/counts",
    response_model=ItemCounts,
    summary="Count the items of a run",
    responses=documented(RunNotFound),
)
async def count_items(context: Context, run: UUID) -> Json:
    """By where they are, and by host: the 50 hosts with the most items left.

    Items that wait for another attempt, `delayed`, are apart from those that were sent.
    """
    return Json(await context.stores.items.counts(run))


@operations.post(
    "/runs/{run}/items/retry",
    response_model=Task,
    status_code=202,
    summary="Try items of a run now",
    responses=documented(RunNotFound, Conflict),
)
async def retry_items(
    request: Request,
    context: Context,
    identity: Operating,
    run: UUID,
    body: ItemsGiven,
    key: IdempotencyKey = None,
) -> Json:
    """Of an active run: those that wait for another attempt are due now.

    `retried` counts them, and `left` the others, by where they were. Of an ended run: they are
    retried in a new run, which the task names; nothing is done if one of them did not fail, or
    would fail again whatever happens.
    """

    async def work(made: UUID) -> Outcome:
        steering = _steering(context)
        if (await context.stores.runs.run(run)).state is RunState.ACTIVE:
            steered = await steering.try_now(run, body.named())
            return Outcome(TaskState.DONE, run, {"retried": steered.changed, **_left(steered)})
        redriven = await steering.redrive(run, body.named(), new_id=made)
        return Outcome(TaskState.ACCEPTED, redriven.id, {"retried": redriven.expected})

    operation = Operation(request, context, identity, key, "retry_items", f"run:{run}", body=body)
    return await run_idempotent(operation, work)


@operations.post(
    "/runs/{run}/items/skip",
    response_model=Task,
    status_code=202,
    summary="Skip items of a run",
    responses=documented(RunNotFound, RunEnded),
)
async def skip_items(
    request: Request,
    context: Context,
    identity: Operating,
    run: UUID,
    body: ItemsGiven,
    key: IdempotencyKey = None,
) -> Json:
    """They are not tried again, and the run can end without them.

    They are counted as failed, for the reason `skipped`, but do not decide whether too many items
    have failed. `skipped` counts them, and `left` the others, by where they were.
    """

    async def work(_made: UUID) -> Outcome:
        steered = await _steering(context).skip(run, body.named())
        return Outcome(TaskState.DONE, run, {"skipped": steered.changed, **_left(steered)})

    operation = Operation(request, context, identity, key, "skip_items", f"run:{run}", body=body)
    return await run_idempotent(operation, work)


def _steering(context: ApiContext) -> ItemSteering:
    stores = context.stores
    return ItemSteering(stores.runs, stores.items, context.registry, context.queue)


def _left(steered: Steered) -> dict[str, dict[str, int]]:
    return {"left": dict(steered.left)}
