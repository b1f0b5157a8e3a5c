"""An output format: the cells of a layer as lines of text."""

import csv
from pathlib import Path

import numpy as np
from pydantic import Field

from s2s_map.config.formats import FormatConfig


class CsvConfig(FormatConfig):
    """What a run config says in formats:, beside format:."""

    least: float = Field(default=0.0, ge=0, le=1, description="Leave out cells below it.")


class Csv:
    """What the entry point names."""

    interface = 1
    schema = CsvConfig
    endings = (".csv",)
    media_type = "text/csv"

    def write(self, stem, layer, grid, slot, attributes, settings):
        """Write <stem>.csv: x and y of cell centres in the map's CRS, probability, similarity."""
        west, _, _, north = grid.bounds
        with Path(f"{stem}.csv").open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(("x", "y", "probability", "similarity"))
            for top in range(0, grid.shape[0], 512):  # a map may be larger than memory
                p, s = (v[slot, top : top + 512] for v in (layer.probability, layer.similarity))
                for row, column in np.argwhere(p >= settings.least):  # NaN is no data
                    x = west + (column + 0.5) * grid.cell_m
                    y = north - (top + row + 0.5) * grid.cell_m
                    lines.writerow((x, y, f"{p[row, column]:.6g}", f"{s[row, column]:.6g}"))


CSV = Csv()
