"""Parts of requests that several resources share. They refuse unknown fields and wrong types."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from triptych.errors import InvalidBrand
from triptych.messages import BRAND_MAX_CHARS, check_brand

PAGE_DEFAULT = 50
PAGE_MAX = 500
CURSOR_MAX_CHARS = 1024
TEXT_MAX_CHARS = 100
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")


def storable(text: str) -> str:
    """Return text that every database can hold and every terminal can show."""
    if not text.isprintable():
        raise ValueError("must have printable characters only")
    return text


def _brand_name(text: str) -> str:
    """Return a brand's name in its canonical spelling."""
    try:
        return check_brand(text)
    except InvalidBrand as error:
        raise ValueError(error.message) from error


def integral(value: object) -> object:
    """Return 3.0 as 3: JSON has only one number type."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _written_time(value: object) -> object:
    """Refuse a number, which would be read as seconds since 1970."""
    if isinstance(value, str) and not _TIME.match(value):
        raise ValueError("must be a date and a time with its zone, such as 2026-03-29T01:00:00Z")
    return value


# Constraints come before our own validators: after one, the description would omit them.
Integral = BeforeValidator(integral)
Moment = Annotated[AwareDatetime, BeforeValidator(_written_time)]
ShortText = Annotated[str, Field(min_length=1, max_length=TEXT_MAX_CHARS), AfterValidator(storable)]
BrandText = Annotated[
    str, Field(min_length=1, max_length=BRAND_MAX_CHARS), AfterValidator(_brand_name)
]


class Given(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Asked(BaseModel):
    """The query of a request. Its values are text, from which numbers are parsed."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class PageAsked(Asked):
    """The page of a listing."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MAX, description="Maximum number of entries.")] = (
        PAGE_DEFAULT
    )
    cursor: Annotated[
        str | None,
        Field(
            max_length=CURSOR_MAX_CHARS,
            pattern=r"^[A-Za-z0-9_-]+$",
            description="`next` of the previous page, with the same path and filters.",
        ),
    ] = None
