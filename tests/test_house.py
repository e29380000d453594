"""The house rules that can be checked: which way imports point, what is public, how the package starts."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import farspan

SRC = Path(farspan.__file__).parent
FILES = sorted(path for path in SRC.rglob("*.py"))
BASE = {"types", "errors", "env", "folders", "process", "telling"}
ORDER = "text attention cache methods engine readers memory writers tasks evals bench recipes server cli".split()
LONGEST_FILE = 300


def room_of(path: Path) -> str:
    """The part of the package that a file belongs to: `text/spool.py` is in `text`."""
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> Iterator[str]:
    """The rooms that a module imports from, also inside functions; a public name counts as its home."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in (alias.name for alias in node.names):
                if name.split(".")[0] == "farspan":
                    yield "engine" if name == "farspan" else name.split(".")[1]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "farspan":
            assert node.level == 0 and node.module is not None
            if node.module != "farspan":
                yield node.module.split(".")[1]
                continue
            for alias in node.names:
                home = farspan._HOMES.get(alias.name, f"farspan.{alias.name}:")
                if alias.name != "__version__":
                    yield home.partition(":")[0].split(".")[1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_imports_point_one_way(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    for other in imported_rooms(ast.parse(path.read_text(encoding="utf-8"))):
        allowed = other in BASE or other == room or (room not in BASE and ORDER.index(other) < ORDER.index(room))
        assert allowed, f"{room} may not import {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_files_are_short_plain_and_documented(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.isascii(), "escape what is not ASCII"
    assert len(text.splitlines()) <= LONGEST_FILE
    assert list(undocumented(ast.parse(text))) == []


def undocumented(tree: ast.Module) -> Iterator[str]:
    """Public functions, classes and methods without a docstring, and the module itself."""
    if not ast.get_docstring(tree):
        yield "the module"
    for node in tree.body:
        yield from _undocumented(node, "")


def _undocumented(node: ast.AST, inside: str) -> Iterator[str]:
    if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
        return
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    inherited = inside and node.name in INHERITED
    if not ast.get_docstring(node) and not inherited and not decorators & {"overload", "override"}:
        yield inside + node.name
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            yield from _undocumented(child, f"{node.name}.")


INHERITED = {"parse_args", "resolve_command", "list_commands", "get_command"}
"""Methods that click calls; its own documentation says what they do."""


def test_public_names_are_sorted_and_exist() -> None:
    assert farspan.__all__ == sorted(farspan.__all__)
    assert set(farspan.__all__) == {*farspan._HOMES, "__version__"}
    for name in farspan.__all__:
        assert getattr(farspan, name) is not None
    assert set(farspan.__all__) <= set(dir(farspan))
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        farspan.lod  # noqa: B018


def test_public_names_are_these() -> None:
    expected = (
        "Budget Counts Method Model Progress Session Size Source Usage __version__ errors load methods open readers "
        "together"
    )
    assert farspan.__all__ == expected.split()


@pytest.mark.parametrize(
    "code",
    [
        "import farspan",
        "import farspan.text",
        "from farspan import tasks; [tasks.family(name) for name in tasks.names()]",
        "from farspan import evals; evals.Plan(tasks=('needle',))",
        "import farspan.cli.app",
        "from farspan.cli.app import app\ntry: app(['--help'])\nexcept SystemExit: pass",
        "from farspan.cli.app import app\ntry: app(['ask', '--help'])\nexcept SystemExit: pass",
        "from farspan.cli.app import app\ntry: app(['sessions'])\nexcept SystemExit: pass",
    ],
)
def test_starts_without_torch(code: str) -> None:
    check_imports(code, {"torch", "transformers"})


def test_methods_are_read_without_transformers() -> None:
    check_imports("from farspan import methods; [methods.get(name) for name in methods.names()]", {"transformers"})


def check_imports(code: str, without: set[str]) -> None:
    check = f"\nimport sys; found = {without} & set(sys.modules)\nassert not found, found"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "farspan", "--version"], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == f"farspan {farspan.__version__}"
