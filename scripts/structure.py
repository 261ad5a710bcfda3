"""How the source is laid out, in figures: ``python -m scripts.structure [--src DIR]``.

Modules, imports, names and lengths are measured. The ways that calls take and the files that a new
thing touches are read off the code by hand: `WAYS_FILE` lists them, and the script counts them and
fails if one is not there. Nothing of the measured source is imported.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "triptych"
WAYS_FILE = Path(__file__).with_name("structure_ways.toml")

FUNCTION_LINES_MAX = 40
"""Longer functions are counted, decorators left out."""
FILE_LINES_MIN = 6
"""Shorter files are nobody's reading: they are left out of the lengths of files."""
UNNAMED = frozenset({"__init__", "__main__"})
"""File names that Python gives."""
FACADE = PurePosixPath("__init__.py")
"""The package's own face."""
ARROWS_SHOWN = 3
"""Imports named for each arrow of a circle."""


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file of the source."""

    name: str
    """As it is imported: the package's name first."""
    path: PurePosixPath
    """Relative to the source."""
    tree: ast.Module
    lines: int

    @property
    def is_package(self) -> bool:
        """Whether it is a package's ``__init__``."""
        return self.path.name == "__init__.py"

    def folder(self, depth: int | None) -> str:
        """Return the folder it is in, cut to ``depth`` names.

        A loose module of the source's own folder stands for itself: what lies there are floors of
        one house, not a room.
        """
        parts = self.path.parts[:-1][:depth]
        return "/".join(parts) or self.path.stem


Imports = Mapping[str, frozenset[str]]
"""By module: which modules of the same source it imports, itself left out."""


def read_modules(src: Path) -> dict[str, Module]:
    """Return all modules below ``src``, the folder of a package, by name."""
    found = {}
    for file in sorted(src.rglob("*.py")):
        path = PurePosixPath(file.relative_to(src))
        parts = [src.name, *path.with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = file.read_text(encoding="utf-8")
        found[name] = Module(name, path, ast.parse(text), len(text.splitlines()))
    return found


def read_imports(modules: Mapping[str, Module]) -> Imports:
    """Return who imports whom, wherever in a file the import stands.

    ``from package import name`` imports the module of that name if there is one, else the package.
    """
    return {
        module.name: frozenset(_imported(module, modules) - {module.name})
        for module in modules.values()
    }


def _imported(module: Module, modules: Mapping[str, Module]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            named = [f"{base}.{alias.name}" for alias in node.names]
            found |= {name if name in modules else base for name in named}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules.keys()


def _base(module: Module, node: ast.ImportFrom) -> str:
    """Return the full name of what a ``from`` names, dots resolved."""
    if node.level == 0:
        return node.module or ""
    parts = module.name.split(".")
    up = node.level - 1 if module.is_package else node.level
    return ".".join([*parts[: len(parts) - up], *filter(None, [node.module])])


def imported_once(modules: Mapping[str, Module], imports: Imports) -> dict[str, str]:
    """Return the modules that exactly one other imports, with that other; no ``__init__``."""
    importers: dict[str, list[str]] = defaultdict(list)
    for importer, targets in imports.items():
        for target in targets:
            importers[target].append(importer)
    return {
        name: importers[name][0]
        for name, module in modules.items()
        if not module.is_package and len(importers[name]) == 1
    }


def shared_names(modules: Iterable[Module]) -> dict[str, list[PurePosixPath]]:
    """Return the file names that stand for several files, most files first."""
    by_name: dict[str, list[PurePosixPath]] = defaultdict(list)
    for module in modules:
        if module.path.stem not in UNNAMED:
            by_name[module.path.stem].append(module.path)
    shared = [(name, paths) for name, paths in by_name.items() if len(paths) > 1]
    return dict(sorted(shared, key=lambda entry: (-len(entry[1]), entry[0])))


def import_lines(module: Module) -> int:
    """Return how many lines a file's import statements take, continued ones in full."""
    return sum(
        _length(node)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    )


def function_lengths(module: Module) -> Iterator[tuple[str, int]]:
    """Yield the functions of a file with their lines."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{module.path}:{node.lineno} {node.name}", _length(node)


def _length(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


Arrows = Mapping[tuple[str, str], Sequence[tuple[PurePosixPath, PurePosixPath]]]
"""By folder and folder: which file of the one imports which of the other."""


def folder_arrows(
    modules: Mapping[str, Module], imports: Imports, depth: int | None = None
) -> Arrows:
    """Return which folders import which; see `Module.folder` for what a folder is.

    The ``__init__`` of the whole is left out: it offers what stands on top, and says the version
    to those below.
    """
    arrows: dict[tuple[str, str], list[tuple[PurePosixPath, PurePosixPath]]] = defaultdict(list)
    for importer, targets in imports.items():
        for target in sorted(targets):
            one, other = modules[importer], modules[target]
            pair = (one.folder(depth), other.folder(depth))
            if pair[0] != pair[1] and FACADE not in {one.path, other.path}:
                arrows[pair].append((one.path, other.path))
    return arrows


def circles(arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the sets of folders that reach one another: the strongly connected components."""
    beyond: dict[str, set[str]] = defaultdict(set)
    for one, other in arrows:
        beyond[one].add(other)
    reached = {folder: _reached(folder, beyond) for folder in list(beyond)}
    found = {
        frozenset(other for other in reached[folder] if folder in reached.get(other, ()))
        for folder in reached
        if folder in reached[folder]
    }
    return sorted(sorted(circle) for circle in found)


def _reached(start: str, beyond: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        fresh = beyond.get(ahead.pop(), set()) - seen
        seen |= fresh
        ahead += fresh
    return seen


def _folder(file: PurePosixPath) -> str:
    """Return the concern that a file belongs to: ``runs/postgres`` is part of ``runs``."""
    return file.parts[0] if len(file.parts) > 1 else "."


@dataclass(frozen=True, slots=True)
class FileList:
    """Files that were listed by hand: a way, in its order, or what a new thing touches."""

    name: str
    files: Sequence[PurePosixPath]

    @property
    def count(self) -> int:
        """How many different files."""
        return len(set(self.files))

    @property
    def folders(self) -> int:
        """How many different folders of the package."""
        return len({_folder(file) for file in self.files})

    @property
    def changes(self) -> int:
        """How often the next file is in another folder of the package; its root counts as one."""
        return sum(_folder(one) != _folder(other) for one, other in pairwise(self.files))

    def missing(self, folder: Path) -> list[PurePosixPath]:
        """Return the files that are not there."""
        return [file for file in self.files if not (folder / file).is_file()]


def read_lists(path: Path, kind: str) -> list[FileList]:
    """Return the lists of one kind, ``ways`` or ``changes``, that a file like `WAYS_FILE` has."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get(kind, [])
    return [
        FileList(entry["name"], [PurePosixPath(file) for file in entry["files"]])
        for entry in entries
    ]


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})" if whole else "0"


def _tell_modules(modules: Mapping[str, Module], imports: Imports, *, every: bool) -> Iterator[str]:
    plain = [module for module in modules.values() if not module.is_package]
    once = imported_once(modules, imports)
    yield f"modules (without __init__): {len(plain)}"
    yield f"imported by exactly one other: {_share(len(once), len(plain))}"
    if every:
        for name, importer in once.items():
            yield f"    {modules[name].path} <- {modules[importer].path}"
    shared = shared_names(modules.values())
    files = sum(len(paths) for paths in shared.values())
    yield f"files that share their basename: {files}, of {len(shared)} names"
    for name, paths in shared.items():
        yield f"    {name}: {', '.join(str(path.parent) for path in paths)}"


def _tell_lines(src: Path, modules: Iterable[Module]) -> Iterator[str]:
    read = list(modules)
    python = sum(module.lines for module in read)
    sql = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in src.rglob("*.sql"))
    yield f"lines: {python} of Python, {sql} of SQL, {python + sql} together"
    imported = sum(import_lines(module) for module in read)
    yield f"import lines: {_share(imported, python)}"
    lengths = [module.lines for module in read if module.lines >= FILE_LINES_MIN]
    if lengths:
        yield (
            f"lines a file ({len(lengths)} files of {FILE_LINES_MIN} or more): "
            f"median {statistics.median(lengths):g}, mean {statistics.fmean(lengths):.0f}, "
            f"max {max(lengths)}"
        )
    functions = [entry for module in read for entry in function_lengths(module)]
    long = sorted((entry for entry in functions if entry[1] > FUNCTION_LINES_MAX), key=_by_length)
    yield f"functions above {FUNCTION_LINES_MAX} lines: {_share(len(long), len(functions))}"
    for name, lines in long:
        yield f"    {lines} {name}"


def _by_length(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]


def _tell_circles(arrows: Arrows) -> Iterator[str]:
    found = circles(arrows)
    yield f"circles of folders that import each other: {len(found)}"
    for circle in found:
        yield f"    {' <-> '.join(circle)}"
        for (one, other), pairs in sorted(arrows.items()):
            if one in circle and other in circle:
                shown = "; ".join(f"{a} imports {b}" for a, b in pairs[:ARROWS_SHOWN])
                more = f"; {len(pairs) - ARROWS_SHOWN} more" if len(pairs) > ARROWS_SHOWN else ""
                yield f"        {one} -> {other}: {shown}{more}"


def _tell_ways(ways: Sequence[FileList]) -> Iterator[str]:
    yield "ways (files, folders, changes of folder):"
    for way in ways:
        yield f"    {way.count:3} {way.folders:3} {way.changes:3}  {way.name}"
    files = len({file for way in ways for file in way.files})
    yield f"    {files:3}     {sum(way.changes for way in ways):3}  all, different files"


def _tell_changes(changes: Sequence[FileList]) -> Iterator[str]:
    yield "files to make or to change for a new thing:"
    for change in changes:
        kinds = Counter(file.suffix.removeprefix(".") for file in set(change.files))
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        yield f"    {change.count:3}  {change.name} ({told})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; return 1 if a listed file is not there."""
    parser = argparse.ArgumentParser(prog="python -m scripts.structure", description=__doc__)
    parser.add_argument("--src", type=Path, default=SOURCE, help="the package's folder")
    parser.add_argument("--ways", type=Path, default=WAYS_FILE, help="the lists made by hand")
    parser.add_argument("--depth", type=int, help="cut folders to so many names; by default none")
    parser.add_argument("--list", action="store_true", help="name what is imported once")
    given = parser.parse_args(arguments)
    src: Path = given.src.resolve()
    modules = read_modules(src)
    imports = read_imports(modules)
    ways, changes = read_lists(given.ways, "ways"), read_lists(given.ways, "changes")
    for line in (
        *_tell_modules(modules, imports, every=given.list),
        *_tell_lines(src, modules.values()),
        *_tell_circles(folder_arrows(modules, imports, given.depth)),
        *_tell_ways(ways),
        *_tell_changes(changes),
    ):
        print(line)  # noqa: T201
    # The package lies in the repository's `src`.
    places = [(way, src) for way in ways] + [(change, src.parents[1]) for change in changes]
    gone = [f"{listed.name}: {file}" for listed, at in places for file in listed.missing(at)]
    for line in gone:
        print(f"error: not there: {line}", file=sys.stderr)  # noqa: T201
    return 1 if gone else 0


if __name__ == "__main__":
    sys.exit(main())
