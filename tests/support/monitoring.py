"""Reading queries: which series a PromQL expression names, and those of a document."""

from __future__ import annotations

import re

from triptych.telemetry.metrics import Documented

FOREIGN = {"up"}
"""Series that Prometheus makes itself."""
NAME = re.compile(r"\b(triptych_\w+|up)\b(?=[{\s)\[]|$)")


def series(expression: str) -> set[str]:
    """Return the names of the series in an expression."""
    return set(NAME.findall(expression))


def sample_names(metric: Documented) -> set[str]:
    """Return the names that a metric's samples have in a scrape."""
    if metric.kind == "histogram":
        return {f"{metric.name}_{part}" for part in ("bucket", "count", "sum")}
    return {metric.name}


def promql_of_levels(text: str) -> list[str]:
    """Return the queries for Prometheus of a document, in its order."""
    return [query.strip() for query in re.findall(r"```promql\n(.*?)```", text, re.DOTALL)]
