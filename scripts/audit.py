"""Looks the locked packages up in the advisory databases of PyPI and npm: ``make audit``.

Where no database answers, it says that nothing is known, which is not the same as nothing found. An
advisory appears without any change here, so findings end it with 1 only with ``--strict``, which is
how a release is made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 180
AT_ONCE = 4
"""Locks that are looked up at a time."""
PYTHON_LOCKS = (
    *("runtime", "lambda", "compile", "wheel", "dev", "infra", "emulator", "chart", "helm"),
    *("mongodb", "release", "gpu"),
)
NPM_FOLDERS = ("dashboard", "demo", "evals", "infra")


@dataclass(frozen=True, slots=True)
class Audit:
    """What is known of one lock file."""

    lock: str
    asked: int = 0
    """Packages that a database knows."""
    unknown: int = 0
    """Packages that no database answered for."""
    findings: list[str] = field(default_factory=list)
    """``package version: advisory``."""

    def __str__(self) -> str:
        if not self.asked:
            return f"{self.lock}: no advisory database answered, so NOTHING IS KNOWN of it."
        found = f"{len(self.findings)} advisories" if self.findings else "no advisory"
        rest = f"; nothing is known of {self.unknown} others" if self.unknown else ""
        return "\n  ".join(
            [f"{self.lock}: {found} for {self.asked} packages{rest}.", *self.findings]
        )


def audit_python(name: str, tool: Path) -> Audit:
    """Look up a Python lock file, by its exact versions and hashes."""
    lock = f"requirements/{name}.txt"
    command = [str(tool), "--disable-pip", "--require-hashes", "--format", "json", "-r", lock]
    return read_python(lock, _answer([*command, "--progress-spinner", "off"]))


def read_python(lock: str, answer: str) -> Audit:
    """Return what pip-audit's JSON says."""
    dependencies = _json(answer).get("dependencies", [])
    asked = [each for each in dependencies if "vulns" in each]
    findings = [
        f"{each['name']} {each['version']}: {vulnerability['id']}"
        for each in asked
        for vulnerability in each["vulns"]
    ]
    return Audit(lock, len(asked), len(dependencies) - len(asked), findings)


def audit_npm(folder: str) -> Audit:
    """Look up a folder's package-lock.json."""
    answer = _answer(["npm", "audit", "--json", "--package-lock-only", "--prefix", folder])
    return read_npm(f"{folder}/package-lock.json", answer)


def read_npm(lock: str, answer: str) -> Audit:
    """Return what npm's JSON says."""
    report = _json(answer)
    if "auditReportVersion" not in report:
        return Audit(lock)
    findings = [
        f"{name} {found['range']}: {found['severity']}"
        for name, found in report.get("vulnerabilities", {}).items()
    ]
    return Audit(lock, report["metadata"]["dependencies"]["total"], 0, findings)


def _answer(command: Sequence[str]) -> str:
    """Return a tool's standard output, whatever its exit status: findings are one, too."""
    try:
        ended = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return ""
    return ended.stdout


def _json(answer: str) -> dict[str, Any]:
    """Return a report; an empty one if the tool wrote none, as where it could ask nobody."""
    try:
        report = json.loads(answer)
    except json.JSONDecodeError:
        return {}
    return report if isinstance(report, dict) else {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit every lock file; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pip-audit", type=Path, required=True, help="the command pip-audit")
    parser.add_argument("--strict", action="store_true", help="end with 1 if there are advisories")
    options = parser.parse_args(arguments)
    tool = options.pip_audit.resolve()
    # They wait for databases most of the time.
    with ThreadPoolExecutor(AT_ONCE) as threads:
        asked = threads.map(audit_python, PYTHON_LOCKS, [tool] * len(PYTHON_LOCKS))
        audits = [*asked, *threads.map(audit_npm, NPM_FOLDERS)]
    for audit in audits:
        sys.stdout.write(f"{audit}\n")
    return int(options.strict and any(audit.findings for audit in audits))


if __name__ == "__main__":
    sys.exit(main())
