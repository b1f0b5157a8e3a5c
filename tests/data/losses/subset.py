"""Cut the loss test's numbers out of the parity kit's golden.npz.

Run as ``python tests/data/losses/subset.py GOLDEN.npz``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

KEYS = (
    "batch_sat_nometa",
    "batch_sat_meta_all",
    "batch_audio_embeds",
    "batch_audio_caption_embeds",
    "batch_fdt_txt_embeds",
    "loss_nometa",
    "loss_meta_all",
    "compute_loss_alpha0.1",
)

if __name__ == "__main__":
    with np.load(sys.argv[1], allow_pickle=False) as golden:
        np.savez_compressed(
            Path(__file__).with_name("golden_losses.npz"), **{key: golden[key] for key in KEYS}
        )
