"""The network that tags sound events: the event branch of SoundAQnet, for inference only.

Written from scratch after Hou et al., "Soundscape captioning using sound affective quality network
and large language model" (IEEE Transactions on Multimedia, 2026), whose scene and affect heads are
left out. Batch normalisation is folded into the weights, and the embedding of the graph's edges,
which are all alike, is a constant.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNELS = (3, 5, 7, 9)
WIDTHS = (16, 32, 64)
NODE_DIM = WIDTHS[-1]
NODES = 2 * len(KERNELS)
MEL_BINS = 64
POOLED_BINS = 5
GRAPH_DIM = 32
COMMON_DIM = 512
EVENT_DIM = 256


class EventNetwork(nn.Module):
    """Log-mel and loudness of a clip -> one logit per event.

    Four convolutional branches with kernels of 3, 5, 7 and 9 read the mel spectrogram, four
    read the loudness curve; the eight results pass one gated graph convolution.

    Args:
        events: Number of events.
    """

    def __init__(self, events: int) -> None:
        super().__init__()
        self.mel_gain = nn.Parameter(torch.ones(MEL_BINS))
        self.mel_offset = nn.Parameter(torch.zeros(MEL_BINS))
        self.mel = nn.ModuleList(_Branch(kernel, bins=True) for kernel in KERNELS)
        self.bins = nn.ModuleList(nn.Linear(POOLED_BINS, 1) for _ in KERNELS)
        self.loudness = nn.ModuleList(_Branch(kernel, bins=False) for kernel in KERNELS)
        self.graph = _GatedGraph()
        self.merge = nn.ModuleList(nn.Linear(2 * NODE_DIM, NODE_DIM) for _ in range(NODES))
        self.head = nn.Sequential(
            nn.Linear(NODES * NODE_DIM, COMMON_DIM),
            nn.GELU(),
            nn.Linear(COMMON_DIM, EVENT_DIM),
            nn.GELU(),
            nn.Linear(EVENT_DIM, events),
        )

    def forward(self, mel: Tensor, loudness: Tensor) -> Tensor:
        """Tag clips of one length.

        Args:
            mel: Standardised log-mel (B, mel frames, 64), at least 280 frames, which the
                widest kernels look at.
            loudness: Standardised loudness (B, loudness frames).

        Returns:
            Logits (B, events).
        """
        image = (mel * self.mel_gain + self.mel_offset)[:, None]
        curve = loudness[:, None, :, None]
        nodes = [
            F.relu(linear(branch(image))[..., 0])
            for branch, linear in zip(self.mel, self.bins, strict=True)
        ]
        nodes += [branch(curve)[..., 0] for branch in self.loudness]
        stacked = torch.stack(nodes, dim=1)
        both = torch.cat([stacked, self.graph(stacked)], dim=-1)
        merged = [F.gelu(layer(both[:, i])) for i, layer in enumerate(self.merge)]
        logits: Tensor = self.head(torch.cat(merged, dim=-1))
        return logits


class _Branch(nn.Module):
    """Six convolutions, growing in reach along time, then mean plus maximum over time."""

    def __init__(self, kernel: int, *, bins: bool) -> None:
        super().__init__()
        size = (kernel, kernel if bins else 1)
        first, later = (0, 0), (0, 0)
        if bins:
            # Only the smallest kernel pads along time, as trained.
            first = (1 if kernel == 3 else 0, kernel // 2)
            later = (0, (kernel - 3) // 2)
        self.pool = (2, 2 if bins else 1)
        self.convolutions = nn.ModuleList()
        channels = 1
        for width, dilation in zip(WIDTHS, (1, 2, 3), strict=True):
            padding = first if dilation == 1 else later
            for _ in range(2):
                self.convolutions.append(
                    nn.Conv2d(channels, width, size, padding=padding, dilation=(dilation, 1))
                )
                channels = width

    def forward(self, x: Tensor) -> Tensor:
        for i, convolution in enumerate(self.convolutions):
            x = F.relu(convolution(x))
            if i % 2:
                x = F.avg_pool2d(x, self.pool)
        return x.amax(dim=2) + x.mean(dim=2)


class _GatedGraph(nn.Module):
    """One residual gated graph convolution on the complete graph of the eight nodes.

    h_j = relu(A h_j + sum_i s_ij * B h_i / (sum_i s_ij + 1e-6)) with
    s_ij = sigmoid(D h_i + E h_j + edge), after Bresson and Laurent (2018).
    """

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(NODE_DIM, GRAPH_DIM)
        self.own = nn.Linear(GRAPH_DIM, NODE_DIM)
        self.message = nn.Linear(GRAPH_DIM, NODE_DIM)
        self.source = nn.Linear(GRAPH_DIM, NODE_DIM)
        self.target = nn.Linear(GRAPH_DIM, NODE_DIM)
        self.edge = nn.Parameter(torch.zeros(NODE_DIM))
        self.gain = nn.Parameter(torch.ones(NODE_DIM))
        self.offset = nn.Parameter(torch.zeros(NODE_DIM))

    def forward(self, nodes: Tensor) -> Tensor:
        h = self.embed(nodes)
        gate = torch.sigmoid(self.source(h)[:, :, None] + self.target(h)[:, None] + self.edge)
        summed = (gate * self.message(h)[:, :, None]).sum(dim=1)
        mixed = self.own(h) + summed / (gate.sum(dim=1) + 1e-6)
        return F.relu(mixed * self.gain + self.offset)
