"""What each reason of a failure means, and whether a redrive may help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from triptych.model import Reason
from triptych.wire import Wire


@dataclass(frozen=True, slots=True)
class Explanation:
    """An explanation for people."""

    meaning: str
    redrive: str
    """Whether a redrive may help: ``yes``, ``no`` or when."""

    @property
    def may_help(self) -> bool:
        """Whether a redrive may help without a change of the source or of the settings."""
        return not self.redrive.startswith("no")


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
            "The row has no absolute http or https URL, nor that of an object or a file.",
            "no: fix the source",
        ),
        Reason.INVALID_ROW: Explanation(
            "The row cannot be read, or names no URL; the detail has its place.",
            "no: fix the source",
        ),
        Reason.INVALID_METADATA: Explanation(
            "The metadata is not JSON, is too large, or contains a NUL character.",
            "no: fix the source",
        ),
        Reason.ADDRESS_REFUSED: Explanation(
            "The URL leads to an address that is not public or to a port other than 80 and 443, or "
            "contains credentials; or to a file or object in no listed folder or bucket.",
            "after `TRIPTYCH_FETCH_ALLOW` allows the network, `TRIPTYCH_FETCH_PORTS` the port, "
            "`TRIPTYCH_SOURCE_FOLDERS` the folder, or `TRIPTYCH_SOURCE_BUCKETS` the bucket",
        ),
        Reason.NAME_NOT_RESOLVED: Explanation(
            "The host's name does not exist, or has no address.",
            "if the name was registered; else fix the source",
        ),
        Reason.NOT_FOUND: Explanation(
            "HTTP 404 or 410, or no such file.", "if the file is there again"
        ),
        Reason.FORBIDDEN: Explanation(
            "HTTP 401, 403 or 451, or a file that the worker may not read.",
            "if access has been granted",
        ),
        Reason.HTTP_ERROR: Explanation(
            "Another 4xx, an answer without a body (HTTP 204), or one that is not HTTP.", "rarely"
        ),
        Reason.TOO_MANY_REDIRECTS: Explanation(
            "More redirects than `TRIPTYCH_FETCH_MAX_REDIRECTS`.",
            "rarely",
        ),
        Reason.ROBOTS_DISALLOWED: Explanation(
            "The host's robots.txt does not allow it.",
            "if robots.txt has changed; `TRIPTYCH_ROBOTS=false` ignores it",
        ),
        Reason.ROBOTS_UNREACHABLE: Explanation(
            "The host's robots.txt could not be read, on every attempt.", "yes"
        ),
        Reason.NO_AI: Explanation(
            "The answer says `X-Robots-Tag: noai` or `noimageai`.",
            "no; `TRIPTYCH_OPT_OUTS=false` ignores it",
        ),
        Reason.NO_INDEX: Explanation(
            "The answer says `X-Robots-Tag: noindex`, `noimageindex` or `none`.",
            "no; `TRIPTYCH_OPT_OUTS=false` ignores it",
        ),
        Reason.TDM_RESERVED: Explanation(
            "The answer says `tdm-reservation: 1`.",
            "no; `TRIPTYCH_OPT_OUTS=false` ignores it",
        ),
        Reason.TOO_LARGE: Explanation(
            "More bytes than `TRIPTYCH_FETCH_MAX_BYTES`.",
            "after the limit is raised",
        ),
        Reason.NOT_AN_IMAGE: Explanation(
            "The content is no image of a supported format: often a web page, an error or a login. "
            "The detail says what it is.",
            "if the URL leads to the image again; `TRIPTYCH_OTHER_MEDIA=true` keeps videos, audio "
            "and PDFs",
        ),
        Reason.UNDECODABLE: Explanation(
            "The image is broken or truncated, or its decoder process ended.",
            "if the file was replaced",
        ),
        Reason.TOO_MANY_PIXELS: Explanation(
            "More pixels than `TRIPTYCH_DECODE_MAX_PIXELS`.",
            "after the limit is raised",
        ),
        Reason.TOO_SMALL: Explanation(
            "The shorter side has fewer pixels than `TRIPTYCH_MIN_SIDE`.",
            "after the limit is lowered",
        ),
        Reason.TIMEOUT: Explanation(
            "Not finished within `TRIPTYCH_FETCH_DEADLINE_S`, on every attempt.", "yes"
        ),
        Reason.SERVER_ERROR: Explanation(
            "HTTP 5xx, or 202 (not ready yet), on every attempt.", "yes"
        ),
        Reason.THROTTLED: Explanation(
            "HTTP 429, on every attempt; Retry-After was respected.", "yes, later"
        ),
        Reason.HOST_DOWN: Explanation(
            "The host, or the proxy, did not answer for `TRIPTYCH_HOST_PATIENCE_S`: its name "
            "could not be looked up, connections were refused, or requests stayed without an "
            "answer.",
            "yes",
        ),
        Reason.CONNECTION_FAILED: Explanation(
            "There was no connection, or it broke, on every attempt.", "yes"
        ),
        Reason.TRUNCATED: Explanation(
            "Fewer bytes than the server declared, or a part of the file (HTTP 206), on every "
            "attempt.",
            "yes",
        ),
        Reason.STORE_FAILED: Explanation(
            "The object store did not store it, on every attempt.", "yes"
        ),
        Reason.OBJECT_DAMAGED: Explanation(
            "Only of a re-embed: the stored object is damaged or lost, and its URL could not be "
            "fetched instead; the detail says why.",
            "if the URL can be fetched again",
        ),
        Reason.INTERNAL: Explanation(
            "A defect in Triptych; the worker's log has the trace.",
            "after an upgrade",
        ),
        Reason.DEAD_LETTERED: Explanation(
            "Its message was delivered again and again and never acknowledged: it kills workers.",
            "after an upgrade",
        ),
        Reason.TIMED_OUT: Explanation("Still unsettled at the run's deadline.", "yes"),
        Reason.SKIPPED: Explanation(
            "An operator skipped it; the detail is its last error. Skipped items are not judged by "
            "`TRIPTYCH_TOLERATED_FAILURES`.",
            "no, unless it is wanted after all: name the reason, or the item",
        ),
    }
)
"""Every reason there is."""
