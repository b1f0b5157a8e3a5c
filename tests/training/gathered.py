"""Compare gradients of a loss over two processes' rows with those of one; run by a test."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.multiprocessing
from torch import distributed

from s2s_map.training.gathering import gather_rows
from s2s_map.training.losses import contrastive, logits


def weights() -> torch.Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(6, 4, generator=generator), torch.randn(6, 3, generator=generator)


def worker(rank: int, folder: str) -> None:
    place = f"file://{folder}/meet"
    distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=2)
    w, (a, b) = weights(), rows()
    mine = slice(3 * rank, 3 * rank + 3)
    scores = logits(gather_rows(a[mine] @ w), gather_rows(b[mine]), torch.tensor(1.0))
    contrastive(scores).backward()
    gradient = w.grad.clone()
    distributed.all_reduce(gradient)  # as DistributedDataParallel: the mean over processes
    if rank == 0:
        torch.save(gradient / 2, Path(folder) / "gradient.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    torch.multiprocessing.start_processes(worker, (sys.argv[1],), nprocs=2, start_method="fork")
    w, (a, b) = weights(), rows()
    contrastive(logits(a @ w, b, torch.tensor(1.0))).backward()
    found = torch.load(Path(sys.argv[1]) / "gradient.pt", weights_only=True)
    torch.testing.assert_close(found, w.grad)
    print("equal")
