"""Nobody but `outputs` asks whether an output is a folder or a prefix of an object store."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import s2s_map
from s2s_map.outputs.disk_output import DiskOutput
from s2s_map.outputs.output import Output, open_output
from s2s_map.outputs.path import ObjectPath
from s2s_map.outputs.s3_output import S3Output

PACKAGE = Path(s2s_map.__file__).parent
KINDS = {"ObjectPath", "Path", "PosixPath", "PurePath", "DiskOutput", "S3Output"}
KINDS |= {"FolderLock", "ObjectLock", "JournalLedger", "ObjectLedger"}
# They lie below outputs and know no object stores: a path is told from a name or a text.
BELOW = {"config", "catalog", "opening", "regions"}


def questions(text: str) -> Iterator[int]:
    """Yield the lines of a module in which it asks for a kind of output."""
    for node in ast.walk(ast.parse(text)):
        asked: list[ast.AST] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            asked = list(node.args[1:]) if node.func.id in ("isinstance", "issubclass") else []
        elif isinstance(node, ast.MatchClass):
            asked = [node.cls]
        elif isinstance(node, ast.Compare) and "type(" in ast.unparse(node):
            asked = [node]
        names = {part.id for one in asked for part in ast.walk(one) if isinstance(part, ast.Name)}
        names |= {p.attr for one in asked for p in ast.walk(one) if isinstance(p, ast.Attribute)}
        if names & KINDS:
            yield node.lineno if isinstance(node, ast.expr) else asked[0].lineno  # type: ignore[attr-defined]


def test_no_other_room_asks_for_the_kind_of_an_output() -> None:
    files = [file for file in PACKAGE.rglob("*.py") if file.parent != PACKAGE / "outputs"]
    found = [
        f"{file.relative_to(PACKAGE)}:{line}"
        for file in files
        if file.relative_to(PACKAGE).parts[0] not in BELOW
        for line in questions(file.read_text("utf-8"))
    ]
    assert len(files) > 300
    assert found == []


@pytest.mark.parametrize(
    "asked",
    [
        "isinstance(out, ObjectPath)",
        "isinstance(out, (str, pathlib.Path))",
        "isinstance(out, str | Path)",
        "type(out) is Path",
        "match out:\n    case ObjectPath():\n        pass",
    ],
)
def test_a_question_is_found(asked: str) -> None:
    assert len(list(questions(asked))) == 1


def test_an_output_is_opened_by_its_place(tmp_path: Path) -> None:
    folder: Output = open_output(str(tmp_path))
    assert folder == DiskOutput(tmp_path) == open_output(tmp_path)
    prefix: Output = open_output("s3://maps/kenya/")
    assert prefix == S3Output(ObjectPath("s3://maps", "kenya"))
    assert (folder.name, prefix.name) == (str(tmp_path.resolve()), "s3://maps/kenya")
    assert (folder.local, prefix.local) == (tmp_path, None)
    assert prefix.free_bytes() is None
    assert (open_output(tmp_path / "not" / "yet").free_bytes() or 0) > 0
