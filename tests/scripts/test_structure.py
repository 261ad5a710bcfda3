"""`scripts/structure.py` counts right, on a package small enough to count by hand."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from scripts.structure import (
    SOURCE,
    WAYS_FILE,
    circles,
    folder_arrows,
    function_lengths,
    import_lines,
    imported_once,
    main,
    read_imports,
    read_lists,
    read_modules,
    shared_names,
)

FILES = {
    "__init__.py": "from house.kitchen.oven import bake\n",
    "words.py": '"""Said by all."""\n',
    "kitchen/__init__.py": "",
    "kitchen/oven.py": (
        "import os\nfrom house.words import (\n    A,\n    B,\n)\nfrom house.hall import door\n"
    ),
    "hall/__init__.py": "from .door import open_it\n",
    "hall/door.py": "def open_it():\n    from house.cellar.deep import x\n    return x\n",
    "hall/oven.py": "from . import door\nfrom ..words import A\n",
    "cellar/deep/__init__.py": "x = 1\n",
    "cellar/deep/wine.py": "import house.kitchen.oven\n" + "def pour():\n" + "    x = 1\n" * 41,
    "cellar/deep/list.sql": "-- wines\nselect 1\n",
}
WAYS = """
[[ways]]
name = "in and out"
files = ["hall/door.py", "hall/oven.py", "words.py", "kitchen/oven.py", "hall/door.py"]
[[changes]]
name = "a room"
files = ["src/house/words.py", "src/house/hall/door.py"]
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    root = tmp_path / "src" / "house"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (tmp_path / "ways.toml").write_text(WAYS)
    return root


def test_a_module_is_counted_by_who_imports_it(house: Path) -> None:
    modules = read_modules(house)
    imports = read_imports(modules)

    assert imports["house.kitchen.oven"] == {"house.words", "house.hall.door"}
    assert imports["house.hall.oven"] == {"house.words", "house.hall.door"}
    # `words` has two importers, `kitchen.oven` two, `hall.door` three, the others none.
    assert imported_once(modules, imports) == {}
    (house / "hall" / "oven.py").write_text("")
    modules = read_modules(house)
    once = imported_once(modules, read_imports(modules))
    assert once == {"house.words": "house.kitchen.oven"}


def test_names_lines_and_functions_are_counted(house: Path) -> None:
    modules = read_modules(house)

    assert shared_names(modules.values()) == {
        "oven": [PurePosixPath("hall/oven.py"), PurePosixPath("kitchen/oven.py")]
    }
    assert import_lines(modules["house.kitchen.oven"]) == 6
    assert import_lines(modules["house.hall.door"]) == 1
    assert modules["house.hall.door"].lines == 3
    assert list(function_lengths(modules["house.cellar.deep.wine"])) == [
        ("cellar/deep/wine.py:2 pour", 42)
    ]


def test_a_circle_of_folders_is_found_and_no_other(house: Path) -> None:
    modules = read_modules(house)
    arrows = folder_arrows(modules, read_imports(modules))

    assert circles(arrows) == [["cellar/deep", "hall", "kitchen"]]
    assert arrows["kitchen", "words"] == [
        (PurePosixPath("kitchen/oven.py"), PurePosixPath("words.py"))
    ]
    by_top = folder_arrows(modules, read_imports(modules), depth=1)
    assert circles(by_top) == [["cellar", "hall", "kitchen"]]
    (house / "cellar" / "deep" / "wine.py").write_text("")
    modules = read_modules(house)
    assert circles(folder_arrows(modules, read_imports(modules))) == []


def test_a_way_counts_its_files_once_and_each_change_of_folder(house: Path) -> None:
    ways = house.parents[1] / "ways.toml"
    (way,) = read_lists(ways, "ways")

    assert (way.count, way.folders, way.changes) == (4, 3, 3)
    assert way.missing(house) == []


def test_the_figures_are_told_and_a_file_that_is_gone_is_an_error(
    house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--src", str(house), "--ways", str(house.parents[1] / "ways.toml"), "--list"]
    assert main(arguments) == 0
    told = capsys.readouterr().out.splitlines()
    assert "modules (without __init__): 5" in told
    assert "lines: 58 of Python, 2 of SQL, 60 together" in told
    assert "circles of folders that import each other: 1" in told
    assert "    cellar/deep <-> hall <-> kitchen" in told
    assert "      4   3   3  in and out" in told
    assert "      2  a room (2 py)" in told

    (house / "words.py").unlink()
    assert main(arguments) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors == [
        "error: not there: in and out: words.py",
        "error: not there: a room: src/house/words.py",
    ]


def test_the_lists_name_files_that_are_there() -> None:
    for way in read_lists(WAYS_FILE, "ways"):
        assert way.missing(SOURCE) == [], way.name
    for change in read_lists(WAYS_FILE, "changes"):
        assert change.missing(SOURCE.parents[1]) == [], change.name
