"""Stopped verbs."""

from __future__ import annotations

import pytest

from s2s_map.cli.stopping import resumable
from s2s_map.errors import InterruptedRunError


def test_ctrl_c_is_one_line_and_exit_code_4() -> None:
    expected = pytest.raises(InterruptedRunError, match="training was stopped; start")
    with expected as error, resumable("training"):
        raise KeyboardInterrupt
    assert error.value.exit_code == 4


def test_anything_else_passes() -> None:
    with pytest.raises(ValueError, match="no"), resumable("training"):
        raise ValueError("no")
