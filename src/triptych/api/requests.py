"""What the API takes. Requests refuse unknown fields and wrong types.

Imports neither FastAPI nor anything of the server's, so that clients can use it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from typing_extensions import TypeAliasType

from triptych.errors import InvalidBrand
from triptych.gather.source_registry import source_schemes
from triptych.messages import BRAND_MAX_CHARS, QUEUES, URL_MAX_CHARS, check_brand
from triptych.model import Reason, RunState
from triptych.snapshots.exports.export_registry import export_formats
from triptych.webhooks.webhook_store import Event

PAGE_DEFAULT = 50
PAGE_MAX = 500
CURSOR_MAX_CHARS = 1024
TEXT_MAX_CHARS = 100
COLOUR_DISTANCE_MAX = 765
LETTERS_MAX = 1000
ATTEMPTS_MAX = 100
MARK_MAX_CHARS = 200
FOUND_DEFAULT = 20
SEARCH_MAX_CHARS = 500
ASSET_ID_MAX_CHARS = 1024
DEADLINE_MAX_S = 7 * 24 * 3600.0


def _storable(text: str) -> str:
    """Return text that every database can hold and every terminal can show."""
    if not text.isprintable():
        raise ValueError("must have printable characters only")
    return text


def _brand_name(text: str) -> str:
    """Return a brand's name in its one spelling."""
    try:
        return check_brand(text)
    except InvalidBrand as error:
        raise ValueError(error.message) from error


def _words(text: str | None) -> str | None:
    """Return text that says something."""
    if text is not None and not text.strip():
        raise ValueError("must not be blank")
    return text


def _integral(value: object) -> object:
    """Return 3.0 as 3: JSON has one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


SOURCE_PATTERN = f"^({'|'.join(map(re.escape, source_schemes()))}):."
"""For the description alone: `triptych.api.sources` checks, and names schemes and remedy."""


# Constraints stand before validators of ours: behind one they would be lost to the description.
Attempts = Annotated[int, Field(ge=1, le=ATTEMPTS_MAX), BeforeValidator(_integral)]
LetterId = Annotated[int, Field(ge=1, le=2**63 - 1), BeforeValidator(_integral)]
ShortText = Annotated[
    str, Field(min_length=1, max_length=TEXT_MAX_CHARS), AfterValidator(_storable)
]
MarkText = Annotated[str, Field(min_length=1, max_length=MARK_MAX_CHARS), AfterValidator(_storable)]
CronText = Annotated[str, Field(max_length=TEXT_MAX_CHARS), AfterValidator(_storable)]
BrandText = Annotated[
    str, Field(min_length=1, max_length=BRAND_MAX_CHARS), AfterValidator(_brand_name)
]
SourceText = Annotated[
    str,
    Field(max_length=URL_MAX_CHARS, json_schema_extra={"pattern": SOURCE_PATTERN}),
    AfterValidator(_storable),
]


ExportFormat = TypeAliasType(
    "ExportFormat",
    Annotated[
        str,
        Field(
            title="ExportFormat",
            description="In which form a snapshot is exported.",
            # For the description alone: `ExportRegistry.find` checks, and names the remedy.
            json_schema_extra={"enum": list(export_formats())},
        ),
    ],
)


class Given(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Asked(BaseModel):
    """A request's query. Its values are text, so numbers are read from it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class PageAsked(Asked):
    """Which page."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MAX, description="Entries on the page.")] = (
        PAGE_DEFAULT
    )
    cursor: Annotated[
        str | None,
        Field(
            max_length=CURSOR_MAX_CHARS,
            pattern=r"^[A-Za-z0-9_-]+$",
            description="`next` of the page before; of the same listing with the same filters.",
        ),
    ] = None


class BrandsAsked(PageAsked):
    """Which brands."""

    name: Annotated[
        ShortText | None,
        Field(description="Part of the name."),
    ] = None
    state: Annotated[RunState | None, Field(description="State of the brand's newest run.")] = None


class Filters(Asked):
    """Which assets. Every filter that is set must hold."""

    media_type: Annotated[
        str | None,
        Field(
            max_length=TEXT_MAX_CHARS,
            pattern=r"^[a-z]+/(\*|[a-z0-9.+-]+)$",
            description="A media type, or a family: `image/png`, `image/*`.",
        ),
    ] = None
    text: Annotated[
        ShortText | None,
        Field(
            description="Found in the URL or the metadata, whatever the case.",
        ),
    ] = None
    colour: Annotated[
        str | None,
        Field(pattern=r"^[0-9A-Fa-f]{6}$", description="One of its colours lies near `rrggbb`."),
    ] = None
    within: Annotated[
        float,
        Field(
            ge=0,
            le=COLOUR_DISTANCE_MAX,
            description="How near: 0 the same, 765 from black to white.",
        ),
    ] = 80.0
    tag: Annotated[MarkText | None, Field(description="One of its tags.")] = None
    cluster: Annotated[MarkText | None, Field(description="The cluster that it is in.")] = None
    duplicates: Annotated[
        MarkText | None, Field(description="The group of duplicates that it is in.")
    ] = None
    duplicated: Annotated[
        bool | None, Field(description="Whether it is in any group of duplicates.")
    ] = None
    look: Annotated[MarkText | None, Field(description="What kind of picture it is.")] = None
    outlier: Annotated[
        float | None,
        Field(ge=0, le=1, description="At least so far, 0 to 1, from what its brand looks like."),
    ] = None


class AssetsAsked(PageAsked, Filters):
    """Which assets, and which page of them."""


class FoundAsked(Filters):
    """What may be found, and how much of it."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MAX, description="Assets to find.")] = FOUND_DEFAULT


class ImageSearchAsked(FoundAsked):
    """Where to search."""

    brand: Annotated[
        BrandText | None, Field(description="In this brand, exactly; else in all of them.")
    ] = None


class SearchAsked(ImageSearchAsked):
    """What to search for: a text or an asset."""

    q: Annotated[
        str | None,
        Field(min_length=1, max_length=SEARCH_MAX_CHARS, description="What it shows, in words."),
        AfterValidator(_words),
    ] = None
    asset: Annotated[
        str | None,
        Field(min_length=1, max_length=ASSET_ID_MAX_CHARS, description="The id of one like it."),
    ] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.q is None) == (self.asset is None):
            raise ValueError("one of `q` and `asset` is wanted")
        return self


class SimilarAsked(FoundAsked):
    """Which assets, like which."""

    run: Annotated[
        UUID | None, Field(description="The snapshot that the asset is of; else the present one.")
    ] = None


class DifferenceAsked(PageAsked):
    """Which changes."""

    change: Annotated[Literal["added", "removed", "changed"] | None, Field()] = None


class RunsAsked(PageAsked):
    """Which runs."""

    brand: ShortText | None = None
    state: Annotated[RunState | None, Field()] = None


class TimelineAsked(Asked):
    """Which events."""

    after: Annotated[int, Field(ge=0, le=2**63 - 1, description="Events behind this seq.")] = 0
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT


class PolicyGiven(Given):
    """What a run may cost and tolerate; what is left out is as the settings say."""

    tolerated_failures: Annotated[float | None, Field(ge=0, le=1)] = None
    max_attempts: Attempts | None = None
    deadline_s: Annotated[float | None, Field(gt=0, le=DEADLINE_MAX_S)] = None


class RunGiven(Given):
    """How a run is to be started."""

    source: Annotated[
        SourceText | None,
        Field(description="`SCHEME:PLACE`, as `GET /sources` lists them; else the brand's own."),
    ] = None
    policy: PolicyGiven | None = None


class BrandGiven(Given):
    """What a brand is to have; what is left out is taken away."""

    source: SourceText | None = None
    schedule: Annotated[
        CronText | None,
        Field(
            description="Cron in UTC, five fields: when the brand runs by itself.",
        ),
    ] = None


class ExportGiven(Given):
    """How a snapshot is to be exported."""

    format: Annotated[
        ExportFormat,
        Field(description="One that is installed; `GET /export-formats` says what each holds."),
    ]


class ReembedGiven(Given):
    """How a brand is to be embedded anew."""

    policy: PolicyGiven | None = None


class WebhookGiven(Given):
    """Whom to tell of what."""

    url: Annotated[
        str,
        Field(
            max_length=URL_MAX_CHARS,
            pattern=r"^https?://.",
            description="Public, or of a network that TRIPTYCH_FETCH_ALLOW names.",
        ),
        AfterValidator(_storable),
    ]
    events: Annotated[
        list[Annotated[Event, Field(strict=False)]],
        Field(min_length=1, max_length=len(Event), description="Which events it is told of."),
    ]
    brand: Annotated[
        BrandText | None, Field(description="Of this brand only; else of all of them.")
    ] = None


class RedriveGiven(Given):
    """Which failed items of a run are to be tried again; without it, all of them."""

    reasons: Annotated[
        list[Annotated[Reason, Field(strict=False)]] | None,
        Field(
            min_length=1,
            max_length=len(Reason),
            description="Only those that failed for one of these. Of committed runs.",
        ),
    ] = None


class LettersGiven(Given):
    """Which dead letters are to be sent again; without either, the oldest 1,000."""

    ids: Annotated[
        list[LetterId] | None,
        Field(min_length=1, max_length=LETTERS_MAX),
    ] = None
    queue: Literal[QUEUES] | None = None  # type: ignore[valid-type]
