"""The examples for schedulers: accepted by what will read them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from s2s_map.config.batch import load_batch

WORKFLOWS = Path(__file__).parents[1] / "workflows"
SCHEDULE = WORKFLOWS / "schedule"
VERSION = "1.31"


@pytest.mark.parametrize("name", ["cronjob", "gpu-worker"])
def test_kubernetes_knows_the_manifests(name: str) -> None:
    import kubernetes_validate

    manifest = yaml.safe_load((SCHEDULE / "kubernetes" / f"{name}.yaml").read_text())
    kubernetes_validate.validate(manifest, VERSION, strict=True)
    manifest["spec"]["replicaz"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_bad_input_and_holes_are_not_retried() -> None:
    manifest = yaml.safe_load((SCHEDULE / "kubernetes" / "cronjob.yaml").read_text())
    job = manifest["spec"]["jobTemplate"]["spec"]
    (rule,) = [r for r in job["podFailurePolicy"]["rules"] if r["action"] == "FailJob"]
    assert rule["onExitCodes"]["values"] == [2, 3]
    pod = job["template"]["spec"]
    # Kubernetes takes a podFailurePolicy only with this.
    assert pod["restartPolicy"] == "Never"
    assert rule["onExitCodes"]["containerName"] in {c["name"] for c in pod["containers"]}


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
        timeout=60,
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
    assert re.search(r"^USER \d+$", text, re.MULTILINE)
    assert not re.search(r"KEY|TOKEN|SECRET|PASSWORD", text)


def test_the_example_batch_is_one() -> None:
    _, runs = load_batch(WORKFLOWS / "batch.yaml")
    assert [run.name for run in runs] == [
        "west-iguacu_landsat8-s2s-mini",
        "east-iguacu_landsat8-s2s-mini",
    ]
