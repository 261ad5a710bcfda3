"""Exports of a brand's snapshot: submitted here, written by a worker, downloaded as files."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Request, Response
from msgspec import Meta
from pydantic import Field
from typing_extensions import TypeAliasType

from triptych.api.http.auth import Operating, operating
from triptych.api.http.dependencies import BrandPath, Context
from triptych.api.http.idempotency import IdempotencyKey, Operation, Outcome, run_idempotent
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.request_models import Given
from triptych.api.http.responses import Json
from triptych.api.http.streaming import SANDBOX, Stored, answer_with
from triptych.errors import (
    BrandNotFound,
    Conflict,
    ExportFileNotFound,
    ObjectMissing,
    TaskNotFound,
)
from triptych.snapshots.exports.export_registry import export_formats
from triptych.tasks.brand_tasks import CREDENTIALS, EXPORT, export_folder
from triptych.tasks.task_store import Task, TaskState
from triptych.wire import Wire

NAME_MAX_CHARS = 200
ExportFormat = TypeAliasType(
    "ExportFormat",
    Annotated[
        str,
        Field(
            title="ExportFormat",
            description="The format of an export.",
            # Only for the description: `ExportRegistry.find` validates and names the remedy.
            json_schema_extra={"enum": list(export_formats())},
        ),
    ],
)

router = ResourceRouter("exports")


class ExportFormatShown(Wire, frozen=True):
    """An export format, or a plug-in for one that cannot be loaded."""

    name: str
    title: str
    description: Annotated[str, Meta(description="What the files contain and what they are for.")]
    problem: Annotated[
        str | None, Meta(description="Why it cannot be used; null if it can be used.")
    ]


class ExportFormats(Wire, frozen=True):
    """The installed export formats."""

    items: list[ExportFormatShown]


class ExportGiven(Given):
    """How to export a snapshot."""

    format: Annotated[
        ExportFormat,
        Field(description="An installed format; `GET /export-formats` describes each."),
    ]


@router.get("/export-formats", response_model=ExportFormats, summary="Show the export formats")
async def list_export_formats(context: Context) -> Json:
    """The formats installed on this server, by name, followed by broken plug-ins."""
    items = [
        ExportFormatShown(one.name, one.title, one.description, None)
        for one in context.exports.formats
    ]
    items += [
        ExportFormatShown(name, name, "", why) for name, why in context.exports.broken.items()
    ]
    return Json(ExportFormats(items))


@router.post(
    "/brands/{brand}/exports",
    response_model=Task,
    status_code=202,
    summary="Export a brand's snapshot",
    responses=documented(BrandNotFound, Conflict),
)
async def export_brand(
    request: Request,
    context: Context,
    identity: Operating,
    brand: BrandPath,
    body: ExportGiven,
    key: IdempotencyKey = None,
) -> Json:
    """Write the current snapshot to the object store. The task's result names the files."""
    context.exports.find(body.format)

    async def work(_made: UUID) -> Outcome:
        run_id = await context.stores.brands.snapshot_of(brand)
        if run_id is None:
            raise Conflict(
                f"Brand {brand!r} has no snapshot to export.",
                remedy="Start a run of the brand first.",
            )
        wanted = {"format": body.format, "run": str(run_id)}
        return Outcome(TaskState.ACCEPTED, result=wanted, enqueue_work=True)

    operation = Operation(request, context, identity, key, EXPORT, f"brand:{brand}", brand, body)
    return await run_idempotent(operation, work)


@router.get(
    "/tasks/{task}/files/{name}",
    response_class=Response,
    summary="Get a file of an export",
    responses={
        200: {
            "description": "The file.",
            "content": {"application/octet-stream": {"schema": {"type": "string"}}},
        },
        **documented(TaskNotFound, ExportFileNotFound, 403, 416),
    },
)
async def get_export_file(
    request: Request,
    context: Context,
    task: UUID,
    name: Annotated[str, Path(min_length=1, max_length=NAME_MAX_CHARS)],
) -> Response:
    """Download a file that the task's result names. Files are kept for 30 days.

    Only for operators if the result's `credentials` is not 0: an export has URLs whole.
    """
    found = await context.stores.tasks.task(task)
    files: list[dict[str, Any]] = found.result.get("files", []) if found.kind == EXPORT else []
    file = next((entry for entry in files if entry["name"] == name), None)
    if file is None:
        raise ExportFileNotFound(
            f"Task {task} has no such file.", remedy="The task's result names its files."
        )
    if found.result.get(CREDENTIALS) != 0:
        await operating(request)
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f'attachment; filename="{ascii_name(name)}"',
        "Content-Security-Policy": SANDBOX,
        "Cache-Control": "private, no-cache",
    }
    size = file["size_bytes"]
    # Files that an older version wrote have none; they are kept for 30 days.
    sha256 = bytes.fromhex(file["sha256"]) if "sha256" in file else None
    stored = Stored(f"{export_folder(task)}{name}", size, f'"{task}-{size}"', headers, sha256)
    try:
        return await answer_with(request, context.objects, stored)
    except ObjectMissing as error:
        raise ExportFileNotFound(
            f"{name} is no longer in the object store, or damaged.",
            remedy="Export the brand again.",
        ) from error


def ascii_name(name: str) -> str:
    """Return a file's name in a form that a quoted header value can hold."""
    return name.encode("ascii", "replace").decode().replace("?", "_")
