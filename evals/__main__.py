"""Run all rooms, or those named, and write ``docs/insights.md``.

``python -m evals`` takes minutes and fetches packages the first time. ``python -m evals --page``
measures nothing and writes the page from the figures that are kept.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from collections.abc import Callable

import evals
from evals.page import Findings, keep, write_page


def rooms() -> dict[str, Callable[[], Findings]]:
    """Return each room's ``measure``, by the room's name, in order."""
    names = [module.name for module in pkgutil.iter_modules(evals.__path__)]
    modules = {
        name: importlib.import_module(f"evals.{name}") for name in names if name != "__main__"
    }
    return {name: module.measure for name, module in modules.items() if hasattr(module, "measure")}


def main(wanted: list[str]) -> None:
    """Measure, keep the figures, write the page."""
    known = rooms()
    if unknown := set(wanted) - known.keys() - {"--page"}:
        sys.exit(f"error: no room {', '.join(sorted(unknown))}: there are {', '.join(known)}.")
    for name in () if "--page" in wanted else wanted or known:
        begun = time.monotonic()
        findings = known[name]()
        keep(name, findings)
        print(f"{name}: {time.monotonic() - begun:.0f} s")
        for figure in findings.figures:
            values = ", ".join(f"{system} {value}" for system, value in figure.values.items())
            print(f"  {figure.what}: {values}")
    write_page()


if __name__ == "__main__":
    main(sys.argv[1:])
