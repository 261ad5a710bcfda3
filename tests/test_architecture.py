"""The rules of the house that a machine can see. Each of them is shown to be able to fail."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src" / "triptych"
TESTS = REPOSITORY / "tests"
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
NAMELESS = {"utils", "helpers", "common", "manager", "misc"}

LAYERS = (
    {"__main__", "__init__", "testing"},
    {"cli"},
    {"aws_lambda", "client"},
    {"wiring"},
    {"api"},
    {"live", "workers"},
    {"tasks"},
    {"ai", "acquire"},
    {"gather", "backups", "reads"},
    {"uploads"},
    {"snapshots"},
    {"runs"},
    {"dead_letters", "queues", "webhooks", "presence", "access", "limits", "features"},
    {"embedders"},
    {"fetch", "media", "settings"},
    {"objects"},
    {"database", "telemetry", "embedded", "sealing"},
    {"runtime"},
    {"messages"},
    {"errors"},
    {"model"},
    {"wire"},
    {"shown_url"},
)
"""From the top down: a module imports from its own folder or from a layer below. Folders of one
layer do not import each other, so no circle of folders is possible."""
ROOT = {"__init__", "__main__", "errors", "messages", "model", "objects", "shown_url", "wire"}
"""The modules that every part speaks; all others have a folder."""
ALONE = {"embedded"}
"""Folders that import nothing of the rest."""
ADAPTERS = re.compile(
    r"^(\w+\.)+(postgres|mongo)(\.|$)|\.postgres_\w+$|^queues\.(pgmq|sqs)(\.|$)|^embedders\.(bundled|class_names"
    r"|onnx_\w+|download|efficientnet_lite|torch_legacy)$"
)
"""What stands behind a port. Only `wiring` picks one."""
SQL = re.compile(
    r"\b(select|insert into|update|delete from)\b.+\b(from|values|set|where)\b", re.IGNORECASE
)


Rule = Callable[[Path], list[str]]
"""Returns what breaks the rule in a folder."""


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(root.rglob("*.py")):
        yield ".".join(path.relative_to(root).with_suffix("").parts), path


def _parsed(path: Path) -> ast.Module:
    return _tree(path.read_text(encoding="utf-8"))


@functools.cache
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


def imports(path: Path) -> set[str]:
    """Return what a file imports from our package, without the package's name."""
    found: set[str] = set()
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.removeprefix("triptych.") for name in found if name.startswith("triptych.")}


def layer(module: str) -> int:
    top = module.split(".", maxsplit=1)[0]
    return next(number for number, names in enumerate(LAYERS) if top in names)


def folder(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def wrong_imports(root: Path) -> list[str]:
    wrong = []
    for module, path in modules(root):
        for target in imports(path):
            own = folder(target) == folder(module)
            below = layer(target) > layer(module) and folder(module) not in ALONE
            picks = ADAPTERS.search(target) and folder(module) not in {"wiring", folder(target)}
            if not (own or below) or picks:
                wrong.append(f"{module} imports {target}")
    return wrong


def stray_modules(root: Path) -> list[str]:
    return [name for name, _ in modules(root) if "." not in name and name not in ROOT]


def too_long(root: Path) -> list[str]:
    found = []
    for module, path in modules(root):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > FILE_LINES_MAX:
            found.append(module)
        for node in ast.walk(_tree(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno > FUNCTION_LINES_MAX:
                    found.append(f"{module}.{node.name}")
    return found


def nameless(root: Path) -> list[str]:
    return [module for module, _ in modules(root) if set(module.split(".")) & NAMELESS]


def stray_sql(root: Path) -> list[str]:
    found = []
    for module, path in modules(root):
        if ADAPTERS.search(module) or folder(module) in {"database", "embedded"}:
            continue
        for node in ast.walk(_parsed(path)):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and "\n" not in text and SQL.search(text):
                found.append(f"{module}: {text[:40]}")
    return found


def undocumented(root: Path) -> list[str]:
    found = []
    for module, path in modules(root):
        tree = _parsed(path)
        if not ast.get_docstring(tree):
            found.append(module)
        for node in tree.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not node.name.startswith("_") and not ast.get_docstring(node):
                found.append(f"{module}.{node.name}")
    return found


INNER = ("api.http",)
"""Folders in a folder, below the rest of it: they import nothing of it but themselves."""


def outward_imports(root: Path) -> list[str]:
    """Find imports of an inner folder that lead out into the folder around it."""
    return [
        f"{module} imports {target}"
        for module, path in modules(root)
        for inner in INNER
        if module.startswith(f"{inner}.")
        for target in imports(path)
        if folder(target) == folder(inner) and not f"{target}.".startswith(f"{inner}.")
    ]


SESSIONS = {"fetch.transport", "client.client", "client.connection"}
"""The guard's own; and the client's, which asks the one server that its user names, and reads an
object where that server redirects to its store."""


def stray_sessions(root: Path) -> list[str]:
    """Find sessions that the address guard does not stand in."""
    found = []
    for module, path in modules(root):
        if module in SESSIONS:
            continue
        for node in ast.walk(_parsed(path)):
            name = (
                getattr(node.func, "attr", getattr(node.func, "id", ""))
                if (isinstance(node, ast.Call))
                else ""
            )
            if name in {"ClientSession", "TCPConnector", "urlopen"}:
                found.append(f"{module}: {name}")
    return found


UNMIRRORED = {"browser", "chaos", "field"}
"""Folders of tests that stand for no folder: the dashboard and the server together, all of it under
chaos, and reports from the field."""


def stray_test_folders(root: Path) -> list[str]:
    """Find folders of tests that mirror neither a folder of the package nor of the repository."""
    folders = {path.parent.relative_to(root) for path in root.rglob("test_*.py")}
    return [
        str(folder)
        for folder in sorted(folders)
        if folder.parts
        and folder.parts[0] not in UNMIRRORED
        and not (SOURCE / folder).is_dir()
        and not (REPOSITORY / folder).is_dir()
    ]


def imported_tests(root: Path) -> list[str]:
    """Find imports of test modules: what several need belongs in `tests.support`."""
    found = []
    for module, path in modules(root):
        for node in ast.walk(_parsed(path)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                origin = getattr(node, "module", None) or ""
                names = [origin, *(alias.name for alias in node.names)]
                if re.search(r"\b(conftest\b|test_)", " ".join(names)):
                    found.append(f"{module} imports {origin or names}")
    return found


RULES = [
    wrong_imports,
    outward_imports,
    stray_modules,
    too_long,
    nameless,
    stray_sql,
    stray_sessions,
    undocumented,
]
RULES_OF_TESTS = [stray_test_folders, imported_tests]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps_the_rule(rule: Rule) -> None:
    assert rule(SOURCE) == []


@pytest.mark.parametrize("rule", RULES_OF_TESTS, ids=lambda rule: rule.__name__)
def test_the_tests_keep_the_rule(rule: Rule) -> None:
    assert rule(TESTS) == []


def test_g11_every_module_has_its_layer() -> None:
    for module, _ in modules(SOURCE):
        layer(module)


BREAKS = {
    "wrong_imports": [
        ("model.py", '"""."""\nfrom triptych.queues.queue import Queue'),
        ("queues/sqs/x.py", '"""."""\nfrom triptych.runs.registry import X'),
        ("access/x.py", '"""."""\nimport triptych.webhooks.y'),
        ("gather/x.py", '"""."""\nfrom triptych.queues.pgmq import PgmqQueue'),
        ("api/x.py", '"""."""\nfrom triptych.runs.postgres.postgres_runs import X'),
        ("runs/x.py", '"""."""\ndef f():\n    """."""\n    from triptych.workers import x'),
        ("embedded/x.py", '"""."""\nfrom triptych.errors import X'),
    ],
    "outward_imports": [("api/http/x.py", '"""."""\nfrom triptych.api.assets import X')],
    "stray_modules": [("registry.py", "")],
    "too_long": [
        ("model.py", "x = 1\n" * 601),
        ("runs/x.py", "def f():\n" + "    x = 1\n" * 61),
    ],
    "nameless": [("utils.py", ""), ("helpers/x.py", ""), ("api/manager.py", "")],
    "stray_sql": [("runs/x.py", 'x = "select 1 from runs where id = 2"')],
    "stray_sessions": [
        ("runs/x.py", "aiohttp.ClientSession()"),
        ("fetch/fetcher.py", "x = ClientSession(trust_env=True)"),
    ],
    "undocumented": [("model.py", ""), ("runs/x.py", '"""."""\nclass Port:\n    pass\n')],
    "stray_test_folders": [("unit/test_x.py", ""), ("runs/slow/test_x.py", "")],
    "imported_tests": [
        ("runs/test_x.py", "from tests.fetch.test_y import z"),
        ("runs/test_x.py", "def f():\n    from tests.fetch import test_y"),
        ("runs/test_x.py", "import tests.browser.conftest"),
        ("runs/test_x.py", "from .test_y import z"),
    ],
}


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [(rule, *case) for rule in [*RULES, *RULES_OF_TESTS] for case in BREAKS[rule.__name__]],
    ids=lambda value: getattr(value, "__name__", None) or str(value)[:20],
)
def test_the_rule_can_fail(rule: Rule, name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    assert rule(tmp_path) != []
