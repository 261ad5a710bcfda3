"""Write what follows from the code: the reference pages, and the schema of the Helm chart's values.

``python -m scripts.reference`` writes them; a test compares them with the code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr

from scripts.chart_schema import values_schema
from triptych.api.app import create_app
from triptych.cli.command_line import app
from triptych.live.asyncapi import asyncapi
from triptych.live.hub_metrics import documented_metrics
from triptych.model import Reason
from triptych.runs.failure_reasons import EXPLAINED
from triptych.settings.settings import ENV_PREFIX, Settings
from triptych.telemetry.cloudwatch_metrics import exported_names

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
WRITTEN = "<!-- Written by `make docs`. -->\n"


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


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command with its whole name, those of groups too."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} ")
        else:
            yield f"{prefix}{name}", command


def openapi() -> str:
    """Render the API's description."""
    return json.dumps(create_app(None).openapi(), indent=2, ensure_ascii=False) + "\n"


def commands_page() -> str:
    """Render every command with its arguments and options."""
    lines = ["# Commands", "", WRITTEN]
    for name, command in _commands(typer.main.get_command(app)):
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
        told = EXPLAINED[reason]
        lines.append(f"| `{reason.value}` | {told.meaning} | {told.redrive} |")
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Render every metric with its labels, and what CloudWatch is given of it."""
    lines = [
        "# Metrics",
        "",
        WRITTEN,
        "What `/metrics` of the API, of live status and of workers serves; each process has those",
        "of what it does. Labels have few values, never a brand, a URL or an id. A histogram has",
        "`_bucket`, `_sum` and `_count`. The last column is the name in CloudWatch, without",
        "dimensions, in the namespace `TRIPTYCH_EMF_NAMESPACE`: see",
        "[Monitoring](../guides/monitoring.md).",
        "",
        "| metric | type | labels | meaning | in CloudWatch |",
        "|---|---|---|---|---|",
    ]
    for one in documented_metrics():
        labels = ", ".join(f"`{label}`" for label in one.labels)
        exported = ", ".join(f"`{name}`" for name in exported_names(one.name))
        lines.append(f"| `{one.name}` | {one.kind} | {labels} | {one.meaning} | {exported} |")
    return "\n".join(lines) + "\n"


def asyncapi_document() -> str:
    """Render the live status protocol as an AsyncAPI document."""
    return json.dumps(asyncapi(), indent=2, ensure_ascii=False) + "\n"


PAGES = {
    "settings.md": settings_page,
    "cli.md": commands_page,
    "failures.md": failures_page,
    "metrics.md": metrics_page,
    "asyncapi.json": asyncapi_document,
    "openapi.json": openapi,
    "../../deploy/helm/triptych/values.schema.json": values_schema,
}


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, render in PAGES.items():
        (FOLDER / name).write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
