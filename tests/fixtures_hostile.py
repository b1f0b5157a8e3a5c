"""Hostile input: valid documents and files, changed in ways that no person would think of."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from s2s_map.cli.main import main

_ASKED = os.environ.get("S2S_MAP_FUZZ")
EXAMPLES = int(_ASKED or 1000)

# The same examples everywhere; other ones where more are asked for.
fuzz = settings(
    max_examples=EXAMPLES,
    derandomize=_ASKED is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
ACCEPTED = (0, 2, 3)
# Addresses are left out: nothing here is to wait for a network.
SCALARS: list[Any] = [
    None, True, False, 0, 1, -1, 3, 10**9, -(10**18), 10**400, 0.5, -0.0, 1e-12, 1e300,
    float("inf"), float("-inf"), float("nan"), "", " ", "0", "1e999", "nan", "true", "[/red]",
    "[bold]", "a\0b", "a\nb", "\u2028", "\ud800", "\x1b[31m", "\ufffe", "ü" * 200, "x" * 300,
    "x" * 20_000, "../" * 50, "/", "..", ".", "~", "~nobody", "/dev/null", "/dev/zero",
    "/dev/stdin", "/proc/self/mem", "fifo", "scene.tif", "job.yaml", "model", "sample:", "sample:x",
    "sample:owl.mp3", "python:os:system", "python::", "s3://", "file:///etc/passwd",
    "/vsimem/x.tif", "GTIFF_DIR:1:scene.tif", "EPSG:4326", "EPSG:4978", "EPSG:32721", "EPSG:-1",
    "LOCAL_CS[\"x\"]", "POLYGON((0 0,1 1,0 0))", "POLYGON((", "POLYGON EMPTY",
    "MULTIPOLYGON(((-56 -25.3,-55.9 -25.3,-55.9 -25.35,-56 -25.3)))", "POINT(1 2)", "Kenya", "KE",
    "2020-13-45", "2020-01-01/2019-01-01", "last 999 years", "cuda:0", "cuda:99999999999", "junk",
    "threads", "local:", "tcp://", "[", "{", "%", "${HOME}", "{x}", "*", "**/*", "?",
    [], {}, [[]], [1], [1, 2, 3, 4], [-56.0, -25.4, -55.9, -25.3], [0, 0, 1e-300, 1e-300],
    [180, -90, -180, 90], ["a"] * 2000, [None], [{}], {"": ""}, {"a": {"b": {}}}, {1: 2},
]  # fmt: skip
Path_ = tuple[Any, ...]
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def paths(document: Any, here: Path_ = ()) -> Iterator[Path_]:
    """Yield the way to every value of a document."""
    yield here
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        yield from paths(value, (*here, key))


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def _replaced(document: Any, path: Path_, change: Callable[[Any, Any], None]) -> Any:
    if not path:
        return document
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return document


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> Any:
    """A document of which one to three values were replaced, removed, repeated or renamed."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        there = list(paths(changed))
        path = draw(st.sampled_from(there))
        how = draw(st.sampled_from(("scalar", "scalar", "number", "text", "move", "delete", "nest",
                                    "rename", "repeat")))  # fmt: skip
        value: Any = None
        if how == "scalar":
            value = copy.deepcopy(draw(st.sampled_from(SCALARS)))
        elif how == "number":
            value = draw(st.one_of(st.integers(), st.floats()))
        elif how == "text":
            value = draw(st.text(max_size=40))
        elif how == "move":
            value = changed
            for key in draw(st.sampled_from(there)):
                value = value[key]
            value = copy.deepcopy(value)
        elif how == "nest":
            value = nested(draw(st.sampled_from((1, 2, 30, 70, 300))))

        def change(parent: Any, key: Any, how: str = how, value: Any = value) -> None:
            if how == "delete":
                del parent[key]
            elif how == "rename" and isinstance(parent, dict):
                parent[str(key)[:-1] + "q"] = parent.pop(key)
            elif how == "repeat" and isinstance(parent, list):
                parent += [parent[key]] * 3
            elif how in ("scalar", "number", "text", "move", "nest"):
                parent[key] = value

        changed = _replaced(changed, path, change)
        if not path and how in ("scalar", "number", "text", "nest"):
            changed = value
    return changed


_PIECES = [
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\t", b"\r", b"\x85", b"&a ", b"*a", b"!!int ", b"!!binary ",
    b"!!python/object:os.system ", b"!x ", b"<<: ", b"? ", b"- ", b": ", b"{", b"[", b"]", b"|\n",
    b"%YAML 9.9\n", b"---\n", b"...\n", b"1:1:1:1:1:1", b"0x" + b"f" * 6000, b"2020-13-45", b"'",
    b'"\\ud800"', b"[" * 3000, b".inf", b"\xed\xa0\x80", b"&a [*a]", b"=",
]  # fmt: skip


@dataclass(frozen=True)
class Damage:
    """Changes of bytes: what is done, where as a share of the length, and with what.

    Attributes:
        changes: (how, where, number, piece) of each.
    """

    changes: tuple[tuple[str, float, int, bytes], ...]

    def __call__(self, content: bytes) -> bytes:
        found = bytearray(content)
        for how, share, number, piece in self.changes:
            at = int(share * len(found))
            if how == "flip" and at < len(found):
                found[at] ^= 1 << number % 8
            elif how == "insert":
                found[at:at] = piece
            elif how == "overwrite":
                found[at : at + len(piece)] = piece
            elif how == "cut":
                del found[at:]
            elif how == "remove":
                del found[at : at + number]
            elif how == "repeat":
                found[at:at] = found[at : at + number]
        return bytes(found)


def damage(pieces: list[bytes], reach: float = 1.0) -> st.SearchStrategy[Damage]:
    """Changes of some bytes.

    Args:
        pieces: What may be put in between, or over what is there.
        reach: Share of the bytes that is changed, from the first on: headers decide most.
    """
    change = st.tuples(
        st.sampled_from(("flip", "flip", "insert", "overwrite", "cut", "remove", "repeat")),
        st.floats(0.0, reach),
        st.integers(1, 60),
        st.sampled_from(pieces),
    )
    return st.lists(change, min_size=1, max_size=4).map(lambda found: Damage(tuple(found)))


def changed(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """YAML of a valid document after changes; in one of four cases to its bytes."""
    mutants = mutated(document).map(as_yaml)
    bytewise = damage(_PIECES).map(lambda change: change(as_yaml(document)))
    return st.one_of(mutants, mutants, mutants, bytewise)


@st.composite
def harmed(draw: st.DrawFn, content: bytes) -> bytes:
    """Lines of JSON of which one was changed, or the bytes."""
    lines = content.decode().splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    try:
        document = json.loads(lines[at])
    except ValueError:
        document = None
    if document is None or draw(st.integers(0, 3)) == 0:
        return draw(damage(_PIECES))(content)
    lines[at] = json.dumps(draw(mutated(document)))
    return ("\n".join(lines) + "\n").encode()


def as_yaml(document: Any) -> bytes:
    """YAML of any document, with halves of surrogate pairs as escapes."""
    how: dict[str, Any] = {"allow_unicode": False, "sort_keys": False}
    try:
        return yaml.dump(document, Dumper=_Dumper, **how).encode()
    except UnicodeEncodeError:  # libyaml knows no halves.
        return yaml.safe_dump(document, **how).encode()


class Told:
    """Calls the command line in this process and judges what it says and leaves behind.

    Args:
        folder: Where it is called; what is in it stays as it is.
    """

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capsys = folder, capsys
        self.codes: dict[int, int] = {}
        self.runs = 0

    def judge(self, *arguments: object) -> int:
        """Return the exit code, after checking that all was as promised."""
        before = listing(self._folder)
        try:
            main([str(a) for a in arguments])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = self._capsys.readouterr()
        said = f"{arguments}: exit {code}\n{out}\n{err}"
        assert code in ACCEPTED, said
        assert "Traceback" not in out + err, said
        if code:
            failed = [line for line in out.splitlines() if line.startswith("failed:")]
            assert len(err.strip().splitlines()) == 1 or failed, said
            assert len(err) < 20_000, said
        assert listing(self._folder) == before, said
        self.last = err
        self.codes[code] = self.codes.get(code, 0) + 1
        return code

    def judge_run(self, config: str, out: Path) -> int:
        """Run a config that `validate` accepts and return the exit code; the output is removed."""
        self.runs += 1
        before = listing(self._folder)
        try:
            main(["run", config, "--output", str(out)])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        printed, err = self._capsys.readouterr()
        said = f"exit {code}\n{printed}\n{err}"
        assert code in ACCEPTED, said
        assert "Traceback" not in printed + err, said
        if code == 2:
            # The line that ends it, after what was said on the way.
            assert err.strip().splitlines()[-1].startswith("error: "), said
        assert listing(self._folder) == before, said
        shutil.rmtree(out, ignore_errors=True)
        return code


def listing(folder: Path) -> list[str]:
    """Names below a folder."""
    return sorted(
        os.path.join(where, name)  # noqa: PTH118  (a third of the test's time with pathlib)
        for where, folders, files in os.walk(folder)
        for name in (*folders, *files)
    )
