"""Data sets on a hub, whole and streamed: a real server on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures_dataset_hub import dataset_hub
from fixtures_sounds import write_sound_set

# The address of the hub is read when the libraries are imported: a process of its own.
PROGRAM = """
import json, sys
from s2s_map.datasets.reading import open_dataset
from s2s_map.datasets.schema import Wanted
from s2s_map.errors import DataError

wanted = Wanted(images=("sentinel",), captions=(("sentinel", 1),))
said = {}
for name, streaming in (("whole", False), ("streamed", True)):
    rows = open_dataset("MVRL/GeoSound", "val", wanted, streaming=streaming)
    said[name] = [[s.key, s.images["sentinel"].shape, float(s.mel.mean())] for s in rows]
for repository in ("nobody/nothing", "MVRL/SoundingEarth"):
    try:
        open_dataset(repository, "val", Wanted(images=("googleEarth",)))
    except DataError as error:
        said[repository] = str(error)
print(json.dumps(said))
"""


@pytest.mark.slow  # a process that imports with the settings of a hub of its own
def test_a_published_set_is_read_from_the_hub(tmp_path: Path) -> None:
    write_sound_set(tmp_path / "hub" / "MVRL" / "GeoSound", train=2, val=3, test=2)
    (tmp_path / "hub" / "MVRL" / "GeoSound" / "README.md").write_text("---\nlicense: other\n---\n")
    with dataset_hub(tmp_path / "hub") as (address, seen):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ
            | {
                "HF_ENDPOINT": address,
                "HF_HOME": str(tmp_path / "home"),
                "HF_HUB_DISABLE_XET": "1",
            },
            check=False,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr + "\n".join(seen)
    said = json.loads(done.stdout.splitlines()[-1])
    assert [row[0] for row in said["whole"]] == ["aporee-2", "freesound-3", "yfcc-4"]
    assert said["streamed"] == said["whole"]
    assert said["nobody/nothing"].startswith("cannot open the data set nobody/nothing")
    assert "\n" not in said["MVRL/SoundingEarth"]
