"""The documents say what the code says, and every test that they name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripts.reference import PAGES

from triptych import errors
from triptych.model import Reason
from triptych.runs.failure_reasons import EXPLAINED

ROOT = Path(__file__).resolve().parents[2]
PAGES_OF_OURS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    if "node_modules" not in path.parts
)
ADRS = sorted((ROOT / "docs" / "adr").glob("*.md"))
LOCKS = [
    *sorted((ROOT / "requirements").glob("*.txt")),
    *(ROOT / folder / "package-lock.json" for folder in ("dashboard", "demo", "evals")),
]
PARTS = ["Status", "Context", "Decision", "Consequences", "Alternatives"]


@pytest.mark.parametrize("name", PAGES)
def test_reference_pages_are_as_the_code_renders_them(name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "run `make docs`"


def test_every_reason_is_explained() -> None:
    assert EXPLAINED.keys() == set(Reason)


@pytest.mark.parametrize("page", PAGES_OF_OURS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_every_test_that_the_architecture_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/architecture.md").read_text("utf-8")))
    there: set[str] = set()
    for file in (ROOT / "tests").glob("**/*.py"):
        there |= set(re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8")))
    assert named
    assert sorted(named - there) == []


def test_every_file_that_the_architecture_names_exists() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    for name in re.findall(r"`((?:\w+/)*\w+\.py)`", text):
        assert (ROOT / "src" / "triptych" / name).is_file(), name


@pytest.mark.parametrize("adr", ADRS, ids=lambda adr: adr.stem)
def test_decisions_have_their_five_parts(adr: Path) -> None:
    headings = re.findall(r"^## (\w+)", adr.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == PARTS


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(adr.name[:4]) for adr in ADRS] == list(range(1, len(ADRS) + 1))


def test_verbs_that_are_named_exist() -> None:
    verbs = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES_OF_OURS:
        for line in re.findall(r"`make ([a-z ]+)`|^make ([a-z ]+?)(?:\s+#|$)", page.read_text()):
            assert set(" ".join(line).split()) <= verbs, page


def test_every_error_is_in_the_tree() -> None:
    names = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.TriptychError)
    }
    assert names == set(re.findall(r"(?:─ |^    )([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_name_no_address_and_hash_everything(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    if lock.suffix == ".txt":
        assert "://" not in text
        for requirement in re.split(r"\n(?=\S)", text.strip()):
            assert "--hash=sha256:" in requirement, requirement
    else:
        assert '"resolved"' not in text
        assert text.count('"integrity": "sha512-') >= text.count('"node_modules/') > 0
