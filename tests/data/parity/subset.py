"""Cut the arrays that the tests use out of the full file of golden numbers.

    python tests/data/parity/subset.py path/to/full/golden.npz

The full file comes from running the published architecture; see README.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

PREFIXES = ("sat_", "tokens_", "pos_embed", "codes_", "att_", "text_", "batch_sat_", "batch_fdt_")
LEFT_OUT = ("codes_support_audio",)


def main(source: Path) -> None:
    """Write golden.npz beside this file."""
    with np.load(source, allow_pickle=False) as full:
        kept = {
            name: full[name]
            for name in full.files
            if name.startswith(PREFIXES) and name not in LEFT_OUT
        }
    np.savez_compressed(Path(__file__).with_name("golden.npz"), **kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
