"""Writes the package of a new step: installable, tested, and ready to be changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from string import Template

from triptych.ai.asset_step import ENTRY_POINT_GROUP as ASSET_STEPS
from triptych.ai.step import ENTRY_POINT_GROUP as BRAND_WIDE_STEPS
from triptych.errors import BadInput, Conflict
from triptych.model import MARKS
from triptych.runtime.plug_ins import plug_in_names

TEMPLATES = Path(__file__).with_name("templates")
NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
NAME_MAX_CHARS = 40


class StepKind(StrEnum):
    """What a step looks at. Each kind has its templates in the folder of its name."""

    ASSET = "asset"
    """One picture at a time; a brand-wide step publishes what was found."""
    BRAND = "brand"
    """A brand's whole snapshot."""


@dataclass(frozen=True, slots=True)
class StepPackage:
    """A package that was written."""

    folder: Path
    files: Sequence[Path]
    """Relative to the folder, in the order in which they are read best."""


def write_step_package(name: str, kind: StepKind, folder: Path | None = None) -> StepPackage:
    """Write the package of a step into a new folder, by default ``triptych-NAME``.

    The distribution is called ``triptych-NAME`` and its module ``triptych_NAME``: so neither hides
    another package, whatever the step is called, and the module can be imported.

    Raises:
        BadInput: the name cannot be used, or is that of an installed step or mark.
        Conflict: there is something at the folder's path, or it cannot be written. Nothing that was
            there is changed.
    """
    _check(name)
    package = f"triptych-{name.replace('_', '-')}"
    values = {"name": name, "package": package, "module": package.replace("-", "_")}
    folder = folder or Path(package)
    files = _files(kind, values["module"])
    try:
        folder.mkdir(parents=True)
        for path, template in files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            text = Template(template.read_text(encoding="utf-8")).substitute(values)
            (folder / path).write_text(text, encoding="utf-8")
    except FileExistsError as error:
        raise Conflict(
            f"{folder} exists already, and nothing is overwritten.",
            remedy="Choose another folder with --into, or move this one away.",
        ) from error
    except OSError as error:
        raise Conflict(
            f"{error.filename or folder} cannot be written: {error.strerror}.",
            remedy="Choose another folder with --into.",
        ) from error
    return StepPackage(folder, tuple(files))


def _check(name: str) -> None:
    if len(name) > NAME_MAX_CHARS or not NAME.fullmatch(name):
        raise BadInput(
            f"{name!r} cannot be a step's name.",
            field="name",
            remedy=f"Use lower-case letters, digits, - and _, {NAME_MAX_CHARS} characters at most, "
            "and begin with a letter.",
        )
    if name in {*plug_in_names(ASSET_STEPS), *plug_in_names(BRAND_WIDE_STEPS), *MARKS}:
        raise BadInput(
            f"{name!r} is the name of a step or a mark that is installed.",
            field="name",
            remedy="Choose another name: each belongs to one step.",
        )


def _files(kind: StepKind, module: str) -> Mapping[Path, Path]:
    """Return the templates of the files, by the files' paths in the package."""
    templates = TEMPLATES / kind.value
    return {
        Path("README.md"): templates / "README.md.template",
        Path("pyproject.toml"): templates / "pyproject.toml.template",
        Path(f"{module}.py"): templates / "module.py.template",
        Path("tests") / f"test_{module}.py": templates / "test.py.template",
    }
