"""Refuses to build a distribution that lacks a part of the dashboard, which is built before it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = Path("src/triptych/dashboard")
NAMED = re.compile(r'(?:src|href)="([^":?#]+)"')
"""A file that the page names: a path below the page, without a scheme."""


class DashboardHook(BuildHookInterface):
    """Checks the page and the files that it names before a wheel or source distribution is built.

    An editable installation is let through: there the dashboard may be built later.
    """

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Check the page.

        Raises:
            FileNotFoundError: it, or a file that it names, is not there.
        """
        if version == "editable":
            return
        missing = missing_files(Path(self.root) / PAGE)
        if missing:
            raise FileNotFoundError(
                f"The dashboard is not built: {PAGE} lacks {', '.join(missing)}. "
                "Run `cd dashboard && npm ci --ignore-scripts && npm run build`, or `make setup`."
            )


def missing_files(page: Path) -> list[str]:
    """Return the files of the dashboard in the folder ``page`` that are not there."""
    index = page / "index.html"
    if not index.is_file():
        return [index.name]
    named = {name.removeprefix("/") for name in NAMED.findall(index.read_text(encoding="utf-8"))}
    return sorted(name for name in named if not (page / name).is_file())
