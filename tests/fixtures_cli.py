"""Calling the command line within the tests' process."""

from __future__ import annotations

from s2s_map.cli.main import main


def call(*arguments: object) -> int:
    """Run ``s2s-map`` with arguments and return its exit code."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0
