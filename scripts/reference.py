"""Write the reference pages that follow from the code: settings, commands, failures.

``python -m scripts.reference`` writes them; a test compares them with the code.
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer
from pydantic import SecretStr

from triptych.cli.app import app
from triptych.model import Reason
from triptych.settings import ENV_PREFIX, Settings

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
WRITTEN = "<!-- Written by `make docs`. -->\n"

MEANINGS: dict[Reason, tuple[str, str]] = {
    Reason.INVALID_URL: ("The row holds no absolute http or https URL.", "no: mend the source"),
    Reason.INVALID_METADATA: (
        "The metadata is no JSON, too large, or holds a NUL character.",
        "no: mend the source",
    ),
    Reason.ADDRESS_REFUSED: (
        "The URL leads to an address that is not public, or carries credentials.",
        "after `TRIPTYCH_FETCH_ALLOW` allows the network",
    ),
    Reason.NOT_FOUND: ("HTTP 404 or 410.", "if it was put back"),
    Reason.FORBIDDEN: ("HTTP 401, 403 or 451.", "if access was given"),
    Reason.HTTP_ERROR: ("Another 4xx, or an answer that is no HTTP.", "seldom"),
    Reason.TOO_MANY_REDIRECTS: (
        "More redirects than `TRIPTYCH_FETCH_MAX_REDIRECTS`.",
        "seldom",
    ),
    Reason.ROBOTS_DISALLOWED: (
        "The host's robots.txt does not allow it.",
        "if the file was changed; `TRIPTYCH_ROBOTS=false` does not ask",
    ),
    Reason.ROBOTS_UNREACHABLE: ("The host did not give its robots.txt, on every attempt.", "yes"),
    Reason.NO_AI: (
        "The answer says `X-Robots-Tag: noai` or `noimageai`.",
        "no; `TRIPTYCH_OPT_OUTS=false` does not look",
    ),
    Reason.NO_INDEX: (
        "The answer says `X-Robots-Tag: noindex`, `noimageindex` or `none`.",
        "no; `TRIPTYCH_OPT_OUTS=false` does not look",
    ),
    Reason.TDM_RESERVED: (
        "The answer says `tdm-reservation: 1`.",
        "no; `TRIPTYCH_OPT_OUTS=false` does not look",
    ),
    Reason.TOO_LARGE: (
        "More bytes than `TRIPTYCH_FETCH_MAX_BYTES`.",
        "after the limit is raised",
    ),
    Reason.NOT_AN_IMAGE: ("The content is no image format known here.", "if it was replaced"),
    Reason.UNDECODABLE: ("An image that is broken or cut short.", "if it was replaced"),
    Reason.TOO_MANY_PIXELS: (
        "More pixels than `TRIPTYCH_DECODE_MAX_PIXELS`.",
        "after the limit is raised",
    ),
    Reason.TIMEOUT: ("Not done within `TRIPTYCH_FETCH_DEADLINE_S`, on every attempt.", "yes"),
    Reason.SERVER_ERROR: ("HTTP 5xx, on every attempt.", "yes"),
    Reason.THROTTLED: ("HTTP 429, on every attempt; Retry-After was kept.", "yes, later"),
    Reason.CONNECTION_FAILED: ("No name, no connection, or a broken one.", "yes"),
    Reason.TRUNCATED: ("Fewer bytes than the server declared, on every attempt.", "yes"),
    Reason.STORE_FAILED: ("The object store did not take it, on every attempt.", "yes"),
    Reason.INTERNAL: (
        "A defect of Triptych's; the worker's log has the trace.",
        "after an upgrade",
    ),
    Reason.DEAD_LETTERED: (
        "Its message was received again and again and never answered: it kills workers.",
        "after an upgrade",
    ),
    Reason.TIMED_OUT: ("Still unsettled at the run's deadline.", "yes"),
}


def settings_page() -> str:
    """Render every setting with its default and meaning."""
    lines = [
        "# Settings",
        "",
        WRITTEN,
        "Each is an environment variable, or a line of `.env` in the working folder. The command",
        "line comes before the environment. `triptych settings` prints those in force and where",
        "each came from.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        shown = "" if default in (None, ()) else f"`{default}`"
        lines.append(f"| `{ENV_PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Render every command with its arguments and options."""
    lines = ["# Commands", "", WRITTEN]
    for name, command in vars(typer.main.get_command(app))["commands"].items():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        usage = " ".join(["triptych", name, *(str(p.metavar or p.name) for p in arguments)])
        lines += [f"## {name}", "", f"`{usage}`", "", f"{command.help}", ""]
        lines += [f"- `{p.metavar or p.name}`: {p.help}" for p in arguments if p.help]
        for option in command.params:
            if option.param_type_name == "option" and not option.hidden:
                lines.append(f"- `{option.opts[0]}`: {option.help or ''}".rstrip(": "))
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def failures_page() -> str:
    """Render every reason for which an item fails."""
    lines = [
        "# Failures",
        "",
        WRITTEN,
        "Every URL ends `done`, `cancelled` or `failed` for one of these reasons. Reasons that",
        "may pass are tried again, with growing pauses, up to `TRIPTYCH_MAX_ATTEMPTS` times.",
        "`triptych failures BRAND` shows them with examples; `triptych redrive BRAND` tries what",
        "failed again, in a run of its own.",
        "",
        "| reason | what it means | may a redrive help? |",
        "|---|---|---|",
    ]
    for reason in Reason:
        meaning, redrive = MEANINGS[reason]
        lines.append(f"| `{reason.value}` | {meaning} | {redrive} |")
    return "\n".join(lines) + "\n"


PAGES = {"settings.md": settings_page, "cli.md": commands_page, "failures.md": failures_page}


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, render in PAGES.items():
        (FOLDER / name).write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
