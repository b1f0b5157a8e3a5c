"""Runs a job, or adds overviews, and is killed before the nth file of overviews gets its place.

``run_overviews.py CONFIG NTH`` runs; ``run_overviews.py OUT NTH CELLS`` adds. Prints how many there
were if it was not killed.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

from s2s_map.pipeline.verbs.overviews import add_overviews
from s2s_map.pipeline.verbs.run import run

NTH = int(sys.argv[2])
COUNT = itertools.count(1)


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    # Every file is written beside its place and renamed, by zarr and by us.
    if event == "os.rename" and "overviews" in str(arguments[1]) and next(COUNT) == NTH:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.addaudithook(hook)
    if len(sys.argv) == 4:
        add_overviews(sys.argv[1], cells=int(sys.argv[3]))
    else:
        run(sys.argv[1])
    sys.stdout.write(f"{next(COUNT) - 1}\n")
