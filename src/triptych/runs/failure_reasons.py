"""What each reason of a failure means, and whether trying again may help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from triptych.model import Reason
from triptych.wire import Wire


@dataclass(frozen=True, slots=True)
class Explanation:
    """For the person who reads a failure."""

    meaning: str
    redrive: str
    """Whether a redrive may help: ``yes``, ``no`` or when."""


class Failures(Wire, frozen=True):
    """The failed items of a run that share a reason."""

    reason: Reason
    count: int
    meaning: str
    redrive: str


class FailureExamples(Failures, frozen=True, kw_only=True):
    """The failed items of a run that share a reason, and some of them."""

    examples: list[tuple[str, str]]
    """Of each its URL and what happened."""


EXPLAINED: Mapping[Reason, Explanation] = MappingProxyType(
    {
        Reason.INVALID_URL: Explanation(
            "The row holds no absolute http or https URL.", "no: mend the source"
        ),
        Reason.INVALID_METADATA: Explanation(
            "The metadata is no JSON, too large, or holds a NUL character.",
            "no: mend the source",
        ),
        Reason.ADDRESS_REFUSED: Explanation(
            "The URL leads to an address that is not public, to a port that is not the web's, or "
            "carries credentials.",
            "after `TRIPTYCH_FETCH_ALLOW` allows the network, or `TRIPTYCH_FETCH_PORTS` the port",
        ),
        Reason.NOT_FOUND: Explanation("HTTP 404 or 410.", "if it was put back"),
        Reason.FORBIDDEN: Explanation("HTTP 401, 403 or 451.", "if access was given"),
        Reason.HTTP_ERROR: Explanation("Another 4xx, or an answer that is no HTTP.", "seldom"),
        Reason.TOO_MANY_REDIRECTS: Explanation(
            "More redirects than `TRIPTYCH_FETCH_MAX_REDIRECTS`.",
            "seldom",
        ),
        Reason.ROBOTS_DISALLOWED: Explanation(
            "The host's robots.txt does not allow it.",
            "if the file was changed; `TRIPTYCH_ROBOTS=false` does not ask",
        ),
        Reason.ROBOTS_UNREACHABLE: Explanation(
            "The host did not give its robots.txt, on every attempt.", "yes"
        ),
        Reason.NO_AI: Explanation(
            "The answer says `X-Robots-Tag: noai` or `noimageai`.",
            "no; `TRIPTYCH_OPT_OUTS=false` does not look",
        ),
        Reason.NO_INDEX: Explanation(
            "The answer says `X-Robots-Tag: noindex`, `noimageindex` or `none`.",
            "no; `TRIPTYCH_OPT_OUTS=false` does not look",
        ),
        Reason.TDM_RESERVED: Explanation(
            "The answer says `tdm-reservation: 1`.",
            "no; `TRIPTYCH_OPT_OUTS=false` does not look",
        ),
        Reason.TOO_LARGE: Explanation(
            "More bytes than `TRIPTYCH_FETCH_MAX_BYTES`.",
            "after the limit is raised",
        ),
        Reason.NOT_AN_IMAGE: Explanation(
            "The content is no image format known here.",
            "if it was replaced; `TRIPTYCH_OTHER_MEDIA=true` keeps videos, sounds and PDFs",
        ),
        Reason.UNDECODABLE: Explanation(
            "An image that is broken or cut short, or that its decoder died of.",
            "if it was replaced",
        ),
        Reason.TOO_MANY_PIXELS: Explanation(
            "More pixels than `TRIPTYCH_DECODE_MAX_PIXELS`.",
            "after the limit is raised",
        ),
        Reason.TIMEOUT: Explanation(
            "Not done within `TRIPTYCH_FETCH_DEADLINE_S`, on every attempt.", "yes"
        ),
        Reason.SERVER_ERROR: Explanation("HTTP 5xx, on every attempt.", "yes"),
        Reason.THROTTLED: Explanation(
            "HTTP 429, on every attempt; Retry-After was kept.", "yes, later"
        ),
        Reason.CONNECTION_FAILED: Explanation("No name, no connection, or a broken one.", "yes"),
        Reason.TRUNCATED: Explanation(
            "Fewer bytes than the server declared, on every attempt.", "yes"
        ),
        Reason.STORE_FAILED: Explanation(
            "The object store did not take it, on every attempt.", "yes"
        ),
        Reason.INTERNAL: Explanation(
            "A defect of Triptych's; the worker's log has the trace.",
            "after an upgrade",
        ),
        Reason.DEAD_LETTERED: Explanation(
            "Its message was received again and again and never answered: it kills workers.",
            "after an upgrade",
        ),
        Reason.TIMED_OUT: Explanation("Still unsettled at the run's deadline.", "yes"),
    }
)
"""Every reason there is."""
