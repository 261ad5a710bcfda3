"""Sources: which types are installed, and which sources a request may name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Depends, Request, Response
from msgspec import Meta
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
    model_validator,
)

from triptych.access.identity import Identity
from triptych.acquire.previews import NoPreview
from triptych.api.content import BYTES
from triptych.api.http.auth import operating
from triptych.api.http.dependencies import ApiContext, Context
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.request_models import BrandText, Given, storable
from triptych.api.http.responses import Json
from triptych.api.http.streaming import SANDBOX
from triptych.errors import BadInput, SourceRefused, SourceUnavailable, TooManyRequests
from triptych.gather.given_source import GivenSource, KeptSource
from triptych.gather.source_check import SourceCheck
from triptych.gather.source_registry import source_schemes
from triptych.media.thumbnails import MEDIA_TYPE
from triptych.messages import URL_MAX_CHARS
from triptych.runs.given_urls import URLS_MAX, GivenUrl, encode_urls, is_given, source_of
from triptych.shown_url import is_shown
from triptych.uploads.upload_store import Upload, UploadNotFound, upload_not_found, upload_of
from triptych.wire import Wire

SOURCE_PATTERN = f"^({'|'.join(map(re.escape, source_schemes()))}):."
"""Only for the description: `check_source` validates, and names the schemes and the remedy."""
SourceText = Annotated[
    str,
    Field(max_length=URL_MAX_CHARS, json_schema_extra={"pattern": SOURCE_PATTERN}),
    AfterValidator(storable),
]

ONE_OF = "Give `source`, or `urls`."

router = ResourceRouter("system")


class SourceTypeShown(Wire, frozen=True):
    """A source type, or a plug-in for one that cannot be loaded."""

    scheme: Annotated[
        str, Meta(description="What sources of this type start with, before the colon.")
    ]
    title: Annotated[str, Meta(description="A short name for people.")]
    description: str
    place: Annotated[str, Meta(description="The placeholder for the place in a usage line.")]
    example: Annotated[str, Meta(description="An example of a place, as written after the colon.")]
    problem: Annotated[
        str | None, Meta(description="Why it cannot be used; null if it can be used.")
    ]


class Sources(Wire, frozen=True):
    """The installed source types."""

    items: list[SourceTypeShown]


@router.get("/sources", response_model=Sources, summary="List the source types")
async def list_sources(context: Context) -> Json:
    """The types installed on this server, by scheme, with their syntax; then broken plug-ins."""
    items = [
        SourceTypeShown(one.scheme, one.title, one.description, one.place, one.example, None)
        for one in context.sources.types
    ]
    broken = context.sources.broken.items()
    items += [SourceTypeShown(name, name, "", "", "", why) for name, why in broken]
    return Json(Sources(items))


class UrlGiven(Given):
    """A URL, and what is known of it."""

    url: Annotated[str, Field(max_length=URL_MAX_CHARS)]
    metadata: dict[str, Any] = Field(
        default_factory=dict, description="Kept with the asset, as a list's columns are."
    )

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        try:
            encode_urls([GivenUrl(self.url, self.metadata)])
        except RecursionError as error:
            raise ValueError("metadata are nested too deep") from error
        return self


def _with_url(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


UrlsGiven = Annotated[
    list[
        Annotated[
            UrlGiven,
            BeforeValidator(_with_url),
            WithJsonSchema(
                {
                    "anyOf": [
                        {"type": "string", "maxLength": URL_MAX_CHARS},
                        UrlGiven.model_json_schema(),
                    ]
                }
            ),
        ]
    ],
    Field(
        min_length=1,
        max_length=URLS_MAX,
        description="Instead of a source: URLs, or objects with `url` and `metadata`.",
    ),
]


def given_urls(urls: Sequence[UrlGiven]) -> Sequence[GivenUrl]:
    """Return URLs of a request as they are kept."""
    return [GivenUrl(one.url, one.metadata) for one in urls]


HAS_SOURCE: JsonValue = {"required": ["source"], "properties": {"source": {"type": "string"}}}
HAS_URLS: JsonValue = {"required": ["urls"], "properties": {"urls": {"type": "array"}}}
"""For descriptions: which of the two is given."""


class CheckGiven(Given):
    """The source to check, or URLs."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [HAS_SOURCE, HAS_URLS]})

    source: Annotated[
        SourceText | None, Field(description="`SCHEME:PLACE`, see `GET /sources`.")
    ] = None
    urls: UrlsGiven | None = None
    brand: Annotated[
        BrandText | None,
        Field(description="Only this brand's rows; by default all, where a source can list them."),
    ] = None
    samples: Annotated[
        bool,
        Field(
            description="Show some values of each column of a list, and do not refuse one for "
            "having no column of URLs: `lists[].problem` says so."
        ),
    ] = False


@router.post(
    "/sources/check",
    response_model=SourceCheck,
    summary="Check a source without starting a run",
    responses=documented(SourceRefused, TooManyRequests),
    dependencies=[Depends(operating)],
)
async def check_given_source(request: Request, context: Context, body: CheckGiven) -> Json:
    """Read its beginning: its format, its columns, and which rows would be refused."""
    check_one_given(body.source, body.urls)
    if body.urls is not None:
        urls = given_urls(body.urls)
        opened = partial(GivenSource, urls, context.settings.page_rows)
        spec = source_of(encode_urls(urls))
        return Json(await context.source_checker.check_opened(opened, spec, body.brand))
    if body.source is None:
        raise BadInput("There is nothing to check.", field="source", remedy=ONE_OF)
    trusted = await check_source(request, context, body.source, brand=body.brand)
    if is_given(body.source):
        kept = KeptSource(context.stores.brands, body.source, context.settings.page_rows)
        return Json(
            await context.source_checker.check_opened(lambda: kept, body.source, body.brand)
        )
    try:
        return Json(
            await context.source_checker.check(
                body.source, body.brand, trusted=trusted, samples=body.samples
            )
        )
    except SourceUnavailable as error:
        # A run would try again for a while; that is what a check has found out.
        raise SourceRefused(error.message, remedy=error.remedy) from error


class PreviewGiven(Given):
    """The URL of a picture."""

    url: Annotated[
        str, Field(min_length=1, max_length=URL_MAX_CHARS, description="As the check shows it.")
    ]


@router.post(
    "/sources/preview",
    response_class=Response,
    summary="Show a picture that a source lists",
    responses={
        200: {"description": "A WebP image.", "content": {"image/webp": BYTES}},
        **documented(NoPreview, TooManyRequests),
    },
    dependencies=[Depends(operating)],
)
async def preview(context: Context, body: PreviewGiven) -> Response:
    """A small picture of a URL, fetched once, as a run would. Nothing is stored or started."""
    webp = await context.previews.webp(body.url)
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": SANDBOX}
    return Response(webp, media_type=MEDIA_TYPE, headers=headers)


def check_one_given(source: str | None, urls: Sequence[UrlGiven] | None) -> None:
    """Refuse a request that gives both a source and URLs.

    Raises:
        BadInput: it does.
    """
    if source is not None and urls is not None:
        raise BadInput("There is a source, too, and a run has one.", field="urls", remedy=ONE_OF)


async def check_source(
    request: Request, context: ApiContext, source: str | None, *, brand: str | None
) -> bool:
    """Refuse invalid sources, and those that whoever asks may not have read.

    A source of the scheme ``urls`` is one that ``brand`` has URLs of; of an upload, see
    `check_upload`. Of the others, the server's
    own user may name any, and everybody else what `SourceReach` has.

    Returns:
        Whether the server's own user names it and others might not, or might not be told what is
        there: what starts with it has to be noted (`BrandStore.trust_source`).

    Raises:
        BadInput: the source is refused; names the field, the known schemes or the setting that
            lists its place, and the remedy.
    """
    if source is None:
        return False
    if is_shown(source):
        raise BadInput(
            "Parts of it are hidden, as answers show a source.",
            field="source",
            remedy="Give it whole, with its password or query; or leave it out where a brand has "
            "one.",
        )
    if is_given(source):
        if brand is None or await context.stores.brands.kept_urls(brand, source) is None:
            raise BadInput(
                "The brand has no such URLs.",
                field="source",
                remedy="Give the URLs themselves, as `urls`, when you start a run.",
            )
        return False
    if (upload := upload_of(source)) is not None:
        context.sources.check(source)
        await check_upload(request, context, upload)
        return False
    refusal = context.sources.refusal(source, context.reach)
    if refusal is None and context.sources.quotes(source, context.reach):
        return False
    stranger = await context.callers.refusal(request.scope)
    if stranger is None:
        return True
    if refusal is not None:
        raise BadInput(refusal.message, field="source", remedy=f"{refusal.remedy} {stranger}")
    return False


async def check_upload(request: Request, context: ApiContext, upload: UUID) -> None:
    """Refuse an upload that does not exist, or is not of the limited key that asks.

    It counts as used now, so that it is still there when a run that starts next reads it.

    Raises:
        BadInput: it is refused; that it is another identity's is not said.
    """
    identity: Identity = request.scope["identity"]
    try:
        found = await context.stores.uploads.upload(upload)
        if not is_visible(found, identity):
            raise upload_not_found(upload)
        await context.stores.uploads.use_upload(upload)
    except UploadNotFound as error:
        raise BadInput(error.message, field="source", remedy=error.remedy) from error


def is_visible(upload: Upload, identity: Identity) -> bool:
    """Return whether an operator may see and use an upload: a limited key only its own."""
    return identity.brands is None or upload.uploaded_by == identity.name
