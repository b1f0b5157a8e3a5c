"""The examples for schedulers: accepted by what will read them."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from s2s_map.cli.app import app
from s2s_map.cli.main import INTERRUPTED as STOPPED
from s2s_map.config.batch import load_batch
from s2s_map.errors import TEMPORARY

WORKFLOWS = Path(__file__).parents[1] / "workflows"
SCHEDULE = WORKFLOWS / "schedule"
VERSION = "1.31"


def parses(arguments: list[str]) -> None:
    """Let our command line take arguments apart, without doing anything."""
    command, rest = typer.main.get_command(app), list(arguments)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    command.make_context("s2s-map", rest)


def test_a_command_line_that_is_none_is_found() -> None:
    parses(["batch", "run", "batch.yaml"])
    for wrong in (
        ["batch", "runn", "batch.yaml"],
        ["batch", "run"],
        ["batch", "run", "--all", "b"],
    ):
        with pytest.raises(Exception, match=r"runn|No such|Missing"):
            parses(wrong)


@pytest.mark.parametrize("name", ["cronjob", "gpu-worker"])
def test_kubernetes_knows_the_manifests(name: str) -> None:
    import kubernetes_validate

    manifest = yaml.safe_load((SCHEDULE / "kubernetes" / f"{name}.yaml").read_text())
    kubernetes_validate.validate(manifest, VERSION, strict=True)
    manifest["spec"]["replicaz"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_kubernetes_retries_what_was_stopped_not_bad_input_or_holes() -> None:
    manifest = yaml.safe_load((SCHEDULE / "kubernetes" / "cronjob.yaml").read_text())
    assert manifest["spec"]["concurrencyPolicy"] == "Forbid"
    job = manifest["spec"]["jobTemplate"]["spec"]
    rules = {rule["action"]: rule for rule in job["podFailurePolicy"]["rules"]}
    # The first that fits decides, and a drained pod ends with 4, too.
    assert next(iter(rules)) == "Ignore"
    rule = rules["FailJob"]
    assert rule["onExitCodes"]["values"] == [2, 3]
    assert rules["Count"]["onExitCodes"]["values"] == [STOPPED, TEMPORARY]
    assert job["backoffLimit"] > 0
    assert rules["Ignore"]["onPodConditions"][0]["type"] == "DisruptionTarget"
    pod = job["template"]["spec"]
    # Kubernetes takes a podFailurePolicy only with this.
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    for by_code in (rules["FailJob"], rules["Count"]):
        assert by_code["onExitCodes"]["containerName"] == container["name"]
    parses(container["args"])


def test_the_gpu_worker_asks_for_a_gpu_and_the_scheduler() -> None:
    manifest = yaml.safe_load((SCHEDULE / "kubernetes" / "gpu-worker.yaml").read_text())
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert container["command"][-1].startswith("tcp://")
    from distributed.cli.dask_worker import main as worker

    worker.make_context("dask worker", [container["command"][-1], *container["args"]])


def unit(suffix: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(SCHEDULE / f"s2s-map.{suffix}")
    return parser


def test_systemd_starts_again_what_was_stopped_not_bad_input_or_holes() -> None:
    service = unit("service")["Service"]
    assert service["SuccessExitStatus"] == "3"
    kept = service["RestartPreventExitStatus"].split()
    assert kept == ["2", "3"]
    assert str(TEMPORARY) not in kept
    assert service["Restart"] == "on-failure"
    assert int(unit("service")["Unit"]["StartLimitBurst"]) < 10
    _, program, *arguments = shlex.split(service["ExecStart"])
    assert program.endswith("/s2s-map")
    parses(arguments)
    assert unit("timer")["Timer"]["OnCalendar"]


def test_systemd_runs_as_a_user_that_owns_what_is_written() -> None:
    service = unit("service")["Service"]
    # A user made up for the time could not write to a folder that was there before.
    assert "DynamicUser" not in service
    (folder,) = service["ReadWritePaths"].split()
    assert service["WorkingDirectory"] == folder
    said = (WORKFLOWS.parent / "docs" / "scheduling.md").read_text()
    user = service["User"]
    assert re.search(rf"^ +useradd .* {user}$", said, re.MULTILINE)
    assert f"chown --recursive {user}: {folder}\n" in said
    assert service["Environment"] == f"S2S_MAP_CACHE=%C/{service['CacheDirectory']}"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for suffix in ("service", "timer"):
        shutil.copy(SCHEDULE / f"s2s-map.{suffix}", tmp_path)
    units = [tmp_path / f"s2s-map.{suffix}" for suffix in ("service", "timer")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{tmp_path}:/lib/systemd/system"},
    )
    ours = [line for line in done.stderr.splitlines() if "s2s-map" in line]
    assert ours == [], done.stderr


def test_cron_line_is_one() -> None:
    text = (SCHEDULE / "crontab").read_text()
    (line,) = [line for line in text.splitlines() if not line.startswith("#")]
    *when, command = line.split(maxsplit=5)
    assert len(when) == 5
    assert all(re.fullmatch(r"\*|\d+", part) for part in when)
    # A percent sign ends a command in crontab.
    assert "%" not in command
    assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0
    words = shlex.split(command.split(">>")[0])
    parses(words[words.index(".venv/bin/s2s-map") + 1 :])


def test_the_image_holds_neither_weights_nor_secrets() -> None:
    text = (SCHEDULE / "Dockerfile").read_text()
    copied = {
        name
        for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE)
        for name in line.split()[:-1]
    }
    assert copied <= {
        "requirements.txt", "pyproject.toml", "README.md", "LICENSE", "NOTICE",
        "data_catalog.yaml", "s2s_map",
    }  # fmt: skip
    assert all((WORKFLOWS.parent / name).exists() for name in copied)
    assert not re.search(r"^ADD ", text, re.MULTILINE)
    assert re.search(r"^FROM \S+:\d+\.\d+\.\d+-slim-\w+$", text, re.MULTILINE), "no pinned base"
    assert "--require-hashes" in text
    assert re.search(r"^USER [1-9]\d*$", text, re.MULTILINE)
    ignored = (WORKFLOWS.parent / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert not re.search(r"KEY|TOKEN|SECRET|PASSWORD", text)


def test_the_example_batch_is_one() -> None:
    _, runs = load_batch(WORKFLOWS / "batch.yaml")
    assert [run.name for run in runs] == [
        "west-iguacu_landsat8-s2s-mini",
        "east-iguacu_landsat8-s2s-mini",
    ]
