"""How many processor cores torch shares work between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one core: for work so small that sharing it costs more than it saves.

    A short text through MiniLM takes 7 ms on one core and 5 to 7 ms on two. While other
    processes keep both cores busy, two threads wait for each other and it takes 200 ms.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
