"""The audit tells advisories, and where nothing is known, apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripts.audit import NPM_FOLDERS, PYTHON_LOCKS, Audit, main, read_npm, read_python

from scripts import audit

ROOT = Path(__file__).resolve().parents[2]
FOUND = {"name": "pillow", "version": "1.0", "vulns": [{"id": "PYSEC-1"}, {"id": "CVE-2"}]}
CLEAN = {"name": "numpy", "version": "2.0", "vulns": []}
SKIPPED = {"name": "triptych", "skip_reason": "Dependency not found on PyPI"}
NPM = {
    "auditReportVersion": 2,
    "vulnerabilities": {"vite": {"range": "<=7.0.1", "severity": "high"}},
    "metadata": {"dependencies": {"total": 120}},
}


def test_advisories_of_python_packages_are_named() -> None:
    found = read_python("runtime.txt", json.dumps({"dependencies": [FOUND, CLEAN, SKIPPED]}))
    assert found.findings == ["pillow 1.0: PYSEC-1", "pillow 1.0: CVE-2"]
    assert "2 advisories for 2 packages; nothing is known of 1 others" in str(found)
    assert "no advisory for 1 packages." in str(Audit("x", 1))


@pytest.mark.parametrize("answer", ["", "not JSON", "[]", json.dumps({"dependencies": [SKIPPED]})])
def test_python_packages_that_nobody_answered_for_are_not_called_clean(answer: str) -> None:
    assert "NOTHING IS KNOWN" in str(read_python("runtime.txt", answer))


def test_advisories_of_npm_packages_are_named() -> None:
    found = read_npm("package-lock.json", json.dumps(NPM))
    assert (found.asked, found.findings) == (120, ["vite <=7.0.1: high"])


@pytest.mark.parametrize("answer", ["", json.dumps({"message": "405 Method Not Allowed"})])
def test_npm_packages_that_nobody_answered_for_are_not_called_clean(answer: str) -> None:
    assert "NOTHING IS KNOWN" in str(read_npm("package-lock.json", answer))


def test_every_lock_is_audited() -> None:
    locks = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    # The bench's peers and uv itself are never part of what is shipped. What the image installs is
    # locked in runtime.txt at the same versions: tests/infra/test_supply_chain.py.
    assert locks - {"peers", "uv", "image", "opentsne"} == set(PYTHON_LOCKS)
    folders = {path.parent.name for path in ROOT.glob("*/package-lock.json")}
    assert folders == set(NPM_FOLDERS)


@pytest.mark.parametrize(("options", "status"), [([], 0), (["--strict"], 1)])
def test_advisories_stop_a_release_and_no_test_run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    status: int,
) -> None:
    answers = {"npm": json.dumps(NPM), "audit": json.dumps({"dependencies": [CLEAN]})}
    monkeypatch.setattr(
        audit, "_answer", lambda command: answers["npm" if command[0] == "npm" else "audit"]
    )
    assert main(["--pip-audit", "pip-audit", *options]) == status
    assert "vite <=7.0.1: high" in capsys.readouterr().out
