"""How the house is built: sizes of files and functions, names, and what packages hold."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

import twostream

ROOT = Path(twostream.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
KERNELS = ("flow/brox_kernels.py", "flow/tvl1_kernels.py")  # one compiled loop is one function
VERBS = "cli"  # a file there is called as its verb, and so may the room be that does the work


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=named)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
        lines = (node.end_lineno or 0) - first.lineno + 1
        assert lines <= 60 or named(path) in KERNELS, f"{node.name} has {lines} lines"


def test_no_two_files_have_one_name() -> None:
    names = Counter(
        path.stem for path in FILES if path.parent.name != VERBS and not path.stem.startswith("__")
    )
    assert not [name for name, count in names.items() if count > 1]


@pytest.mark.parametrize("path", [p for p in FILES if p.stem == "__init__"], ids=named)
def test_a_package_holds_public_names_alone(path: Path) -> None:
    if path.parent in (ROOT, ROOT / VERBS):
        return  # names that are imported when they are used, and the table of verbs
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        is_list = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        assert isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) or is_list
