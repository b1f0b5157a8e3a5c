"""Reading run configs, and the messages for what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from s2s_map.config.load import parse_model, read_yaml
from s2s_map.config.run import RunConfig, load_run_config
from s2s_map.config.template import config_template
from s2s_map.errors import ConfigError

GOOD = {"output": "out", "source": "somewhere", "queries": [{"text": "birds"}]}


def refusal(**changes: object) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_model(RunConfig, {**GOOD, **changes}, "x.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"quieries": []}, "did you mean 'queries'?"),
        ({"grid": {"cel_m": 160}}, "unknown key 'grid.cel_m'; did you mean 'cell_m'?"),
        ({"queries": [{"txt": "birds"}]}, "did you mean 'text'?"),
        ({"cluster": "http://10.0.0.5:8786"}, "takes threads, local, cuda or the address tcp://"),
        ({"zzz": 1}, "known keys: output"),
        ({"queries": [{"text": " "}]}, "the text of a query is empty"),
        ({"queries": [{"minus": ["a"]}]}, "something to listen for"),
        ({"queries": [{"text": "a", "texts": ["b"]}]}, "either text: or texts:"),
        ({"queries": [{"text": "a", "minus": [" "]}]}, "the text of a query is empty"),
        ({"queries": []}, "at least 1 item"),
        ({"patches": {"zoom": 2}}, "1, 3 or 5"),
        ({"grid": {"cell_m": 0}}, "greater than 0"),
        ({"output": " "}, "output: is empty"),
    ],
)
def test_one_line_says_what_is_wrong(changes: dict[str, object], says: str) -> None:
    assert says in refusal(**changes)


def test_missing_keys_are_named() -> None:
    with pytest.raises(ConfigError, match=r"'output' is missing; 'source' is missing"):
        parse_model(RunConfig, {"queries": [{"text": "a"}]}, "x.yaml")


@pytest.mark.parametrize(
    ("content", "says"),
    [("a: [1", "line 2 is not valid YAML"), ("", "holds nothing"), ("- 1", "holds a list")],
)
def test_files_that_are_no_config(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(content + "\n")
    with pytest.raises(ConfigError, match=says):
        load_run_config(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file"):
        read_yaml(tmp_path / "none.yaml")


def test_recordings_are_relative_to_the_config(tmp_path: Path) -> None:
    queries = [{"audio": "owl.wav"}, {"audio": "sample:owl.mp3"}]
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump({**GOOD, "queries": queries}))
    config = load_run_config(path)
    assert [q.audio for q in config.queries] == [str(tmp_path / "owl.wav"), "sample:owl.mp3"]


def test_template_validates_and_names_every_key() -> None:
    text = config_template()
    parse_model(RunConfig, yaml.safe_load(text), "template")
    for name, field in RunConfig.model_fields.items():
        assert f"{name}:" in text
        assert (field.description or "").endswith("."), name
