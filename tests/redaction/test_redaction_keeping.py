"""Streams and logs that stay redacted."""

from __future__ import annotations

import subprocess
import sys


def test_a_process_whose_logs_are_not_redacted_yet_keeps_its_streams_redacted() -> None:
    # As a worker of Dask: it must not wait for itself.
    code = "from s2s_map.redaction.streams import keep_redacted; keep_redacted(); print('kept')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "kept\n"
