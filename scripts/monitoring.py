"""Write what monitors a deployment: Prometheus' alert rules and Grafana's dashboard.

``python -m scripts.monitoring`` writes them; a test compares them with what is committed. The rules
are made of the same table as CloudWatch's alarms, `infra.alarms`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.alarms import ALARMS, Alarm

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
RUNBOOKS = "docs/runbooks.md"
WIDTH, PANEL_WIDTH, PANEL_HEIGHT = 24, 8, 8
"""Grafana's grid has 24 columns."""


def alert_rules() -> str:
    """Render the alarms that Prometheus can see as its alert rules."""
    lines = [
        "# Written by `make docs` from infra/alarms.py. What to do is in docs/runbooks.md.",
        "groups:",
        "  - name: triptych",
        "    rules:",
    ]
    for alarm in ALARMS.values():
        if expression(alarm):
            lines += _rule(alarm)
    return "\n".join(lines) + "\n"


def expression(alarm: Alarm) -> str:
    """Return what an alert rule evaluates; empty for an alarm that Prometheus cannot see."""
    if alarm.promql is None:
        return ""
    return f"({alarm.promql}) {'<' if alarm.below else '>'} {alarm.threshold:g}"


def _rule(alarm: Alarm) -> list[str]:
    annotations = {
        "summary": alarm.summary,
        "value": f"{{{{ $value | humanize }}}} {alarm.unit}",
        "runbook": f"{RUNBOOKS}#{alarm.runbook}",
    }
    return [
        f"      - alert: {alarm.title}",
        # A string of JSON is one of YAML.
        f"        expr: {json.dumps(expression(alarm))}",
        f"        for: {alarm.for_min}m",
        "        labels:",
        f"          alarm: {json.dumps(alarm.name)}",
        "        annotations:",
        *(f"          {name}: {json.dumps(text)}" for name, text in annotations.items()),
    ]


@dataclass(frozen=True)
class Panel:
    """A graph: its lines by their legends, and the unit as Grafana names it."""

    title: str
    unit: str
    lines: dict[str, str]


def _quantiles(metric: str, by: str = "") -> dict[str, str]:
    """Return the median and the 95th percentile of a histogram, of each value of a label."""
    groups = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return {
        f"{name}{legend}": f"histogram_quantile({share}, sum by ({groups}) "
        f"(rate({metric}_bucket[$__rate_interval])))"
        for name, share in (("median", 0.5), ("95 %", 0.95))
    }


def _rate(metric: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}[$__rate_interval]))"


ROWS = {
    "Runs": (
        Panel("Items settled", "ops", {"{{outcome}}": _rate("triptych_items_total", "outcome")}),
        Panel(
            "Failures by reason",
            "ops",
            {"{{reason}}": _rate('triptych_items_total{outcome="failed"}', "reason")},
        ),
        Panel(
            "Runs ended",
            "short",
            {"{{state}}": "sum by (state) (increase(triptych_runs_total[$__range]))"},
        ),
        Panel(
            "Runs that do not go on",
            "short",
            {"stalled": "max(triptych_runs_stalled)", "held": "max(triptych_runs_held)"},
        ),
        Panel("Commits", "s", _quantiles("triptych_commit_seconds")),
        Panel("Assets of a commit", "short", _quantiles("triptych_commit_assets")),
        Panel("Gathering", "s", _quantiles("triptych_gather_seconds")),
        Panel("Rows read from sources", "ops", {"rows": _rate("triptych_gathered_total")}),
        Panel("AI steps", "s", _quantiles("triptych_ai_step_seconds", "step")),
    ),
    "Queues": (
        Panel(
            "Messages waiting", "short", {"{{queue}}": "max by (queue) (triptych_queue_waiting)"}
        ),
        Panel(
            "Messages put off", "short", {"{{queue}}": "max by (queue) (triptych_queue_delayed)"}
        ),
        Panel(
            "Oldest message", "s", {"{{queue}}": "max by (queue) (triptych_queue_oldest_seconds)"}
        ),
        Panel(
            "Messages worked on",
            "short",
            {
                "{{queue}}, received": "max by (queue) (triptych_queue_in_flight)",
                "{{queue}}, held": "sum by (queue) (triptych_messages_held)",
            },
        ),
        Panel(
            "Messages by outcome",
            "ops",
            {"{{queue}} {{outcome}}": _rate("triptych_messages_total", "queue, outcome")},
        ),
        Panel("Time of a message", "s", _quantiles("triptych_message_seconds", "queue")),
    ),
    "Pictures": (
        Panel("Fetching one URL", "s", _quantiles("triptych_fetch_seconds")),
        Panel("Bytes fetched", "Bps", {"bytes": _rate("triptych_fetched_bytes_total")}),
        Panel("Decoding one picture", "s", _quantiles("triptych_decode_seconds")),
        Panel(
            "Decoders lost", "ops", {"{{cause}}": _rate("triptych_decoders_lost_total", "cause")}
        ),
        Panel("Embedding one batch", "s", _quantiles("triptych_embed_seconds")),
        Panel("Pictures embedded", "ops", {"pictures": _rate("triptych_embedded_total")}),
        Panel("One flush of the buffer", "s", _quantiles("triptych_flush_seconds")),
        Panel(
            "Object store",
            "short",
            {
                "processes that wait for it": "sum(triptych_store_away)",
                "damaged, {{met}}": "sum by (met) (increase(triptych_objects_damaged_total[1h]))",
                "replaced": "sum(increase(triptych_objects_replaced_total[1h]))",
            },
        ),
        Panel(
            "Search index behind the snapshots",
            "s",
            {
                "oldest snapshot": "max(triptych_index_lag_seconds)",
                "brands": "max(triptych_brands_unindexed)",
            },
        ),
    ),
    "Servers": (
        Panel(
            "Requests",
            "reqps",
            {"{{status}}": _rate("triptych_http_request_seconds_count", "status")},
        ),
        Panel("Time of a request", "s", _quantiles("triptych_http_request_seconds")),
        Panel(
            "Requests refused",
            "reqps",
            {"{{reason}}": _rate("triptych_refused_requests_total", "reason")},
        ),
        Panel(
            "Immediate reads by database",
            "reqps",
            {"{{source}}, {{reason}}": _rate("triptych_reads_total", "source, reason")},
        ),
        Panel(
            "MongoDB behind the snapshots",
            "s",
            {
                "oldest": "max(triptych_reads_lag_seconds)",
                "brands": "max(triptych_reads_behind_brands)",
            },
        ),
        Panel(
            "Live clients",
            "short",
            {"{{instance}}": "triptych_live_clients"},
        ),
        Panel(
            "Live status",
            "ops",
            {
                "frames": _rate("triptych_live_frames_total"),
                "reads": _rate("triptych_live_reads_total"),
                "slow clients": _rate("triptych_live_slow_total"),
                "refused": _rate("triptych_live_refused_total"),
                "errors": _rate("triptych_live_errors_total"),
            },
        ),
        Panel(
            "Webhooks",
            "ops",
            {"{{outcome}}": _rate("triptych_webhook_attempts_total", "outcome")},
        ),
    ),
}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> str:
    """Render the dashboard in Grafana's JSON, to be imported or provisioned."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "gridPos": place, "panels": []}
        )
        top += 1
        for number, panel in enumerate(row):
            line, column = divmod(number, WIDTH // PANEL_WIDTH)
            place = {
                "x": column * PANEL_WIDTH,
                "y": top + line * PANEL_HEIGHT,
                "w": PANEL_WIDTH,
                "h": PANEL_HEIGHT,
            }
            panels.append(_graph(len(panels) + 1, panel, place))
        top += -(-len(row) // (WIDTH // PANEL_WIDTH)) * PANEL_HEIGHT
    whole = {
        "title": "Triptych",
        "uid": "triptych",
        "tags": ["triptych"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                }
            ]
        },
        "panels": panels,
    }
    return json.dumps(whole, indent=2) + "\n"


def _graph(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "gridPos": place,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
            for n, (legend, expr) in enumerate(panel.lines.items())
        ],
    }


FILES = {
    "prometheus/alerts.yml": alert_rules,
    "grafana/triptych.json": dashboard,
}


def main() -> None:
    """Write the files."""
    for name, render in FILES.items():
        (DEPLOY / name).parent.mkdir(parents=True, exist_ok=True)
        (DEPLOY / name).write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
