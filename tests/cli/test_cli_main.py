"""The command line as a user meets it: exit codes, one-line errors, what it prints."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures_job import write_job
from pyproj import Transformer

from s2s_map.cli.main import main

S2S_MAP = Path(sys.executable).with_name("s2s-map")


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = 0
    try:
        main([str(a) for a in arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write_job(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return path


def test_help_imports_nothing_that_takes_long() -> None:
    done = subprocess.run([S2S_MAP, "--help"], capture_output=True, text=True, check=True)
    assert "query" in done.stdout
    # How long it takes is in benchmarks/RESULTS.md.
    heavy = ("torch", "rasterio", "numpy", "pandas", "xarray", "zarr", "dask", "matplotlib")
    code = f"import sys, s2s_map.cli.app; print([m for m in {heavy} if m in sys.modules])"
    light = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert light.stdout.strip() == "[]"


def test_plan_validate_run_query(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "plan", job)
    assert code == 0
    assert "38 x 38 cells of 160 m in EPSG:32721" in out
    assert call(capsys, "validate", job)[0] == 0
    code, out, _ = call(capsys, "run", job)
    assert code == 0
    assert "2 maps in" in out
    assert "preview.png" in out
    code, out, _ = call(capsys, "query", "out", "a river flowing", "--name", "river")
    assert code == 0
    assert "added river" in out
    assert Path("out/river.tif").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "noize"}, "did you mean 'noise'?"),
        ({"model": "s2s-mni"}, "s2s-mini"),
        ({"region": [10, 50, 11, 51]}, "outside"),
        ({"queries": [{"audio": "none.wav"}]}, "none.wav"),
        ({"grid": {"crs": "EPSG:4326"}}, "metres"),
        ({"patches": {"stride_m": 333}}, "stride"),
        ({"device": "cuda:7"}, "cuda:7"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, object],
    says: str,
) -> None:
    config = write_job(tmp_path, **change)
    monkeypatch.chdir(tmp_path)
    for verb in ("validate", "run"):
        code, _, err = call(capsys, verb, config)
        assert code == 2
        assert err.startswith("error: ")
        assert len(err.strip().splitlines()) == 1
        assert says in err
    assert not (tmp_path / "out" / "maps.zarr").exists()


def test_corrupted_checkpoint(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = job.parent / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    code, _, err = call(capsys, "run", job)
    assert code == 2
    assert "sha-256" in err.lower() or "hash" in err.lower()


def test_debug_shows_the_traceback(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "run", "none.yaml", "--debug")
    assert code == 2
    assert "Traceback" in err


def test_unknown_option_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "run", "--nonsense")[0] == 2


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        (("run",), ("Exit codes: 0", "tls://HOST:PORT")),
        (("status",), ("finished or not",)),
        (("verify",), ("finished or not", "Exit codes: 0", "2 there is nothing")),
        (("batch", "run"), ("1 a bug",)),
    ],
)
def test_help_says_what_scripts_need(
    verb: tuple[str, ...],
    says: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    text = " ".join(call(capsys, *verb, "--help")[1].split())
    for part in says:
        assert part in text


def test_new_config_runs_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(capsys, "new-config", "mine.yaml")[0] == 0
    assert call(capsys, "validate", "mine.yaml")[0] == 0
    code, _, err = call(capsys, "new-config", "mine.yaml")
    assert code == 2
    assert "--overwrite" in err


def test_lists(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert "iguacu_landsat8" in call(capsys, "catalog", "list")[1]
    assert "30 m" in call(capsys, "catalog", "show", "iguacu_landsat8")[1]
    assert "s2s-mini" in call(capsys, "models", "list")[1]
    assert "SHA-256" in call(capsys, "models", "show", "s2s-mini")[1]


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "doctor")
    assert code == 0, out
    assert "weights match their hash" in out
    assert "GDAL driver Zarr" in out


def test_explain_takes_western_longitudes(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "run", job)[0] == 0
    # The scene's north-west corner is near 56.0 degrees west, 25.3 south.
    to_degrees = Transformer.from_crs("EPSG:32721", "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(602_000.0, 7_198_000.0)
    code, out, err = call(capsys, "explain", "out", lon, lat, "--query", "waves")
    assert (code, err) == (0, ""), err
    assert max(lon, lat) < 0
    picture = next(line.split(maxsplit=1)[1] for line in out.splitlines() if "picture" in line)
    assert Path(picture).read_bytes().startswith(b"\x89PNG")
    code, _, err = call(capsys, "explain", "out", 10.0, 50.0, "--query", "waves")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert call(capsys, "explain", "out", lon, lat, "--qery", "waves")[0] == 2


def test_libraries_say_nothing_beside_our_own_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["catalog", "list"])
    assert not logging.getLogger("rasterio._env").isEnabledFor(logging.ERROR)
