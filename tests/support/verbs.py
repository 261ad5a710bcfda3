"""What the API can do, and how a client and the command line ask for it.

Each operation of the API's description has a row: the client's method, with arguments to try it,
and the command, or the reason why there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from triptych.messages import Phase
from triptych.model import Reason
from triptych.webhooks.webhook_store import Event

ID = UUID(int=7)
OTHER = UUID(int=8)


@dataclass(frozen=True)
class Exempt:
    """There is none, for a reason."""

    reason: str


@dataclass(frozen=True)
class Verb:
    """An operation's method and command."""

    method: str | Exempt
    args: Sequence[Any] = ()
    command: str | Exempt = Exempt("")
    """Its name, and what it is given if `tests.cli.test_hostile_text` does not run it."""
    options: Mapping[str, Any] = field(default_factory=dict)


PROBES = Exempt("for load balancers and Prometheus, which ask over HTTP")

VERBS: Mapping[str, Verb] = {
    "list_brands": Verb("brands", command="status"),
    "get_brand": Verb("brand", ["nike"], "schedule"),
    "put_brand": Verb("put_brand", ["nike"], "schedule nike 0_3_*_*_1"),
    "delete_brand": Verb("delete_brand", ["nike"], "delete"),
    "get_insights": Verb("insights", ["nike"], "insights"),
    "list_assets": Verb("assets_page", ["nike"], "assets"),
    "get_asset": Verb("asset", ["id"], "asset"),
    "list_facets": Verb("facets", ["nike"], "facets"),
    "list_facets_anywhere": Verb("facets", command="facets"),
    "get_content": Verb("fetch_content", ["id", Path("x")], "asset id --to x"),
    "get_thumbnail": Verb(
        "thumbnail", ["id", 160], Exempt("a terminal shows no pictures; reports have them")
    ),
    "search": Verb("search", ["shoe"], "search"),
    "search_by_picture": Verb("search_by_image", [b"x"], "search --image {file}"),
    "list_similar": Verb(
        "similar", ["id"], Exempt("`similar` asks the search, which looks in all brands, too")
    ),
    "get_map": Verb("map", ["nike"], Exempt("a map is a drawing, which `report` makes")),
    "compare_brands": Verb("compare", ["nike", "puma"], "compare"),
    "nearest_brands": Verb("nearest", ["nike"], "near"),
    "list_snapshots": Verb("snapshots", ["nike"], "snapshots"),
    "get_snapshot": Verb("snapshot", ["nike", ID], "assets of a snapshot"),
    "diff_snapshots": Verb("difference", ["nike", ID, OTHER], "diff"),
    "count_difference": Verb("difference_counts", ["nike", ID, OTHER], "diff"),
    "list_runs": Verb("runs", command="runs", options={"limit": 1}),
    "get_run": Verb("run", [ID], "status of a run"),
    "get_timeline": Verb("timeline", [ID], "timeline"),
    "get_pace": Verb("pace", [ID], f"status {ID}"),
    "get_failures": Verb("failures", [ID], "failures", {"examples": 1}),
    "list_failed": Verb(
        "failed_items", [ID, Reason.TIMEOUT], Exempt("`failures --examples` shows up to 1,000")
    ),
    "list_refused_rows": Verb("refused_rows", [ID], "failures"),
    "start_run": Verb("start", ["nike"], "submit"),
    "reembed_brand": Verb("reembed", ["nike"], "reembed"),
    "restore_snapshot": Verb("restore", ["nike", ID], "restore"),
    "run_ai": Verb("run_ai", ["nike"], "ai"),
    **{
        f"{verb}_run": Verb("steer", [ID, verb], verb)
        for verb in ("pause", "resume", "cancel", "publish", "discard")
    },
    "redrive_run": Verb("redrive", [ID], "redrive"),
    "redrive_letters": Verb("redrive_letters", [[1]], "dead-letters redrive 1"),
    "discard_letters": Verb("discard_letters", [[1]], "dead-letters discard 1"),
    "steer_runs": Verb("steer_runs", ["pause"], "pause of many"),
    "list_items": Verb("items", [ID], "items"),
    "count_items": Verb("item_counts", [ID], "items"),
    "retry_items": Verb("retry_items", [ID, ["00"]], "retry"),
    "skip_items": Verb("skip_items", [ID, ["00"]], "skip"),
    "list_phases": Verb("phases", command="phases list"),
    "put_phase": Verb("put_phase", [Phase.AI], "phases pause", {"paused": True}),
    "list_hosts": Verb("hosts", command="hosts list"),
    "put_host": Verb("put_host", ["x.example"], "hosts limit", {"paused": True}),
    "drop_host": Verb("drop_host", ["x.example"], "hosts reset"),
    "make_upload": Verb("upload", [Path("/dev/null")], "upload"),
    "list_uploads": Verb("uploads", command="uploads list"),
    "get_upload": Verb("upload_info", [ID], "uploads show"),
    "delete_upload": Verb("delete_upload", [ID], f"uploads delete {ID}"),
    "get_history": Verb("history", ["nike"], "history"),
    "preview_schedule": Verb("preview_schedule", ["0 3 * * 1"], "schedule of cron"),
    "list_pictures": Verb("pictures", [ID], Exempt("a terminal shows no pictures")),
    "get_picture_thumbnail": Verb(
        "picture_thumbnail", [ID, "00" * 16, 160], Exempt("a terminal shows no pictures")
    ),
    "list_tasks": Verb("tasks", command="tasks"),
    "get_task": Verb("task", [ID], f"tasks {ID}"),
    "list_audit": Verb("audit", command="audit"),
    "get_me": Verb("me", command="me"),
    "list_export_formats": Verb(
        "export_formats", command=Exempt("the help of `export` names the installed formats")
    ),
    "export_brand": Verb("export", ["nike", "csv"], "export"),
    "get_export_file": Verb("fetch_file", [ID, "nike.csv", Path("x")], "export"),
    "list_webhooks": Verb("webhooks", command="webhooks list"),
    "make_webhook": Verb("make_webhook", ["https://x", [Event.AI_DONE]], "webhooks create"),
    "delete_webhook": Verb("delete_webhook", [ID], f"webhooks delete {ID}"),
    "list_deliveries": Verb("deliveries", [ID], "webhooks deliveries"),
    "list_sources": Verb("sources", command="sources"),
    "preview": Verb("preview", ["https://x.example/1.jpg"], Exempt("a terminal shows no pictures")),
    "check_given_source": Verb("check_source", ["manifest:x.csv"], "check"),
    "list_queues": Verb("depths", command="status"),
    "list_dead_letters": Verb("dead_letters", command="dead-letters list"),
    "list_workers": Verb("workers", command="workers"),
    "list_settings": Verb(
        "settings", command=Exempt("`settings` prints those of this machine, which a server reads")
    ),
    "metrics": Verb(PROBES, command=PROBES),
    "healthz": Verb(PROBES, command=PROBES),
    "readyz": Verb(PROBES, command=PROBES),
}
LOCAL = {
    "assets": "all pages of `assets_page`",
    "check_urls": "the same operation as `check_source`",
    "search_by_asset": "the same operation as `search`",
    "watch": "live status, over a WebSocket",
}
"""Methods of the client that no row names, and why."""
WITHOUT_OPERATION = {
    **dict.fromkeys(("run", "up", "api", "worker", "live"), "starts processes here"),
    **dict.fromkeys(("migrate", "doctor", "settings", "verify"), "works without a server"),
    **dict.fromkeys(("models list", "models fetch"), "fetches into this machine's data folder"),
    "new step": "writes files on this machine",
    **dict.fromkeys(("backup", "reads status", "reads rebuild"), "works without a server"),
    **dict.fromkeys(("keys create", "keys list", "keys revoke"), "before a server has any key"),
    "report": "asks for insights, the map, the nearest brands and more",
    **dict.fromkeys(("phases resume", "phases limit"), "asks `put_phase`, as `phases pause` does"),
    **dict.fromkeys(("hosts pause", "hosts resume"), "asks `put_host`, as `hosts limit` does"),
    "similar": "asks `search_by_asset`, which is the operation of `search`",
}
"""Commands that no row names, and why."""
