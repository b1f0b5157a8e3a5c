"""What every schema bounds, and what YAML may be."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAliasType, get_args

import annotated_types
import pytest
from pydantic.fields import FieldInfo

import s2s_map.config
from s2s_map.config.checked import Checked, NoData
from s2s_map.config.files import open_regular, read_bounded
from s2s_map.config.load import MOST_BYTES, parse_model, parse_yaml, read_yaml
from s2s_map.config.model import ModelConfig
from s2s_map.config.run import RunConfig
from s2s_map.config.scale import ValueScale
from s2s_map.errors import ConfigError
from s2s_map.models.events import card  # noqa: F401  (its schemas are checked as well)

RUN = {"output": "out", "source": "x", "queries": [{"text": "waves"}]}


def schemas(base: type[Checked] = Checked) -> Iterator[type[Checked]]:
    """Yield the schemas of the package; other tests may have loaded those of other packages."""
    for one in base.__subclasses__():
        if one.__module__.startswith("s2s_map."):
            yield one
        yield from schemas(one)


def numbers(annotation: Any, metadata: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield what is said of every number that a field may hold."""
    if isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    if annotation in (int, float):
        yield metadata
    own = getattr(annotation, "__metadata__", ())
    inner = [
        part for one in own for part in (one.metadata if isinstance(one, FieldInfo) else [one])
    ]
    for part in get_args(annotation)[: 1 if own else None]:
        yield from numbers(part, (*metadata, *inner))


def test_every_number_of_every_schema_has_bounds() -> None:
    for module in pkgutil.iter_modules(s2s_map.config.__path__):
        importlib.import_module(f"s2s_map.config.{module.name}")
    found = 0
    for schema in dict.fromkeys(schemas()):
        for name, field in schema.model_fields.items():
            if NoData in get_args(field.annotation):
                continue
            for said in numbers(field.annotation, tuple(field.metadata)):
                low = any(isinstance(s, annotated_types.Ge | annotated_types.Gt) for s in said)
                high = any(isinstance(s, annotated_types.Le | annotated_types.Lt) for s in said)
                assert low, f"{schema.__name__}.{name} has no least"
                assert high, f"{schema.__name__}.{name} has no largest"
                found += 1
    assert found > 100


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"title": "a\0b"}, "title: takes no character U+0000"),
        ({"title": "a\nb"}, "title: takes one line"),
        ({"title": "\ud800"}, "U+D800"),
        ({"title": "\ufffe"}, "U+FFFE"),
        ({"title": "x" * 10_001}, "10,001 characters"),
        ({"output": "a/" + "ü" * 128}, "has a name of 256 bytes"),
        ({"model": "x" * 5000}, "5,000 bytes"),
        ({"batch_size": True}, "true"),
        ({"region": [True, 0, 1, 1]}, "true"),
        ({"region": False}, "bare NO"),
        ({"device": "junk"}, "takes auto, cpu, cuda or cuda:N"),
        ({"patches": {"stride_m": float("inf")}}, "patches.stride_m"),
        ({"patches": {"size_m": 1e-12}}, "greater than or equal to 0.1"),
        ({"patches": {"size_m": 10**400}}, "patches.size_m"),
        ({"grid": {"cell_m": float("nan")}}, "grid.cell_m"),
        ({"queries": [{"text": "waves", "name": "a\tb"}]}, "queries.0.name: takes one line"),
        ({"queries": [{"text": "waves"}] * 1001}, "at most 1000"),
    ],
)
def test_what_is_beyond_the_bounds_is_one_line(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_model(RunConfig, {**RUN, **change}, "job.yaml")
    assert says in str(error.value)
    assert len(str(error.value)) < 400
    assert str(error.value).isprintable()


def test_texts_of_several_lines_are_taken_where_they_make_sense() -> None:
    config = parse_model(RunConfig, {**RUN, "queries": [{"text": "waves\non a shore\n"}]}, "job")
    assert config.queries[0].text == "waves\non a shore\n"
    # Other alphabets are no control characters.
    assert parse_model(RunConfig, {**RUN, "title": "鸟 طيور 🦉"}, "job").title == "鸟 طيور 🦉"


def test_many_faults_are_counted_not_listed() -> None:
    with pytest.raises(ConfigError, match="and 42 more"):
        parse_model(RunConfig, {**RUN, "queries": [{"text": 1}] * 50}, "job.yaml")


def test_scales_whose_ends_floats_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="not below max"):
        ValueScale(min=1e9, max=1e9 + 1)
    ValueScale(min=0, max=1e-9)


def test_a_codebook_no_machine_holds_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"codebook\.size"):
        parse_model(ModelConfig, {"codebook": {"size": 10**9}}, "card.json")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3 is not valid YAML: the key 'a' stands in line 1 already"),
        ("x: {a: 1, a: 2}", "stands in line 1 already"),
        ("[" * 3000, "nested deeper than 64 levels"),
        ("a: 2020-13-45", "'2020-13-45' is not a valid timestamp"),
        ("a: !!int abc", "'abc' is not a valid int"),
        ("a: !!bool maybe", "is not a valid bool"),
        ("a: !!timestamp x", "is not a valid timestamp"),
        ("a: !!python/object:os.system x", "line 1"),
        ("a: 0x" + "f" * 500, "is not a valid int"),
        ("a: " + "9" * 5000, "is not a valid int"),
        ("a: &a [*a]", "alias"),
        ("\n\ta: 1", "indent with spaces"),
        ("a: 1\nb: x\0y", "line 2 holds the character U+0000"),
    ],
)
def test_yaml_that_cannot_be_is_said_with_its_line(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_yaml(text, "job.yaml")
    assert says in str(error.value)
    assert str(error.value).startswith("job.yaml")
    assert len(str(error.value)) < 300


def test_aliases_count_as_what_they_stand_for() -> None:
    levels = ["a0: &a0 [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError, match="more than 200,000 values"):
        parse_yaml("\n".join(levels), "laughs.yaml")
    # A few are what they are for; what `<<` brings may be said again.
    found = parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}", "merged.yaml")
    assert found == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}


def test_files_of_yaml(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(path) == {"a": 1}
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match="line 2 holds bytes that are not UTF-8"):
        read_yaml(path)
    path.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 4 MB"):
        read_yaml(path)
    with pytest.raises(ConfigError, match="it is a folder"):
        read_yaml(tmp_path)
    with pytest.raises(ConfigError, match="it is a device"):
        read_yaml("/dev/zero")


def test_pipes_and_devices_are_no_files_and_do_not_hang(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, what in ((pipe, "a pipe"), (Path("/dev/zero"), "a device"), (tmp_path, "a folder")):
        with pytest.raises(OSError, match=what), open_regular(path):
            pass
    with pytest.raises(OSError, match="null"), open_regular("a\0b"):
        pass
    # The shell's own pipes, as of <(...), are taken where they are asked for.
    reader, writer = os.pipe()
    os.write(writer, b"a: 1")
    os.close(writer)
    assert read_bounded(f"/dev/fd/{reader}", 100, pipes=True) == b"a: 1"
    os.close(reader)
