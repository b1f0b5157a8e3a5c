"""Explaining one place of a finished run: its patch, where the query is, and by which codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.making_time import making_time
from s2s_map.encoding.patch_metadata import places
from s2s_map.outputs import names
from s2s_map.outputs.atomic import replacing_file
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import ObjectPath, OutputPath, output_path
from s2s_map.pipeline.job.question import make_question
from s2s_map.pipeline.verbs.look_closer import Looked, look_closer
from s2s_map.redaction import file_json
from s2s_map.scoring.codes import CodeInUse

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a place answers a query as it does.

    Attributes:
        picture: The PNG.
        report: The JSON beside it.
        similarity: Cosine of the whole patch with the query.
        cell_similarity: Similarity in the map, at the place's cell.
        heat: Cosine of each token with the query (tokens, tokens), north up; NaN: no imagery.
        codes: The strongest codes of the patch.
    """

    picture: OutputPath
    report: OutputPath
    similarity: float
    cell_similarity: float
    heat: NDArray[np.float32]
    codes: tuple[CodeInUse, ...]


def explain(
    out: str | Path | ObjectPath,
    lon: float,
    lat: float,
    text: str | None = None,
    *,
    audio: str | None = None,
    texts: Sequence[str] = (),
    minus: Sequence[str] = (),
    time_slot: str | None = None,
    codes: int = 8,
    catalogs: Sequence[str | Path] = (),
) -> Explanation:
    """Explain a place of a finished run; reads its one patch from the imagery again.

    Args:
        out: Output folder of a finished run.
        lon: Degrees east, WGS 84.
        lat: Degrees north.
        text: What to listen for.
        audio: A recording, alone or as a further part of the question.
        texts: Further texts; the question is the mean of all parts.
        minus: Texts to take off.
        time_slot: Label of the time slot; the first one if None.
        codes: How many codes to show.
        catalogs: Catalog files that come before the usual ones.

    Returns:
        The explanation, written as picture and JSON into ``explanations`` in the output folder.

    Raises:
        DamagedBlocksError: If the embeddings around the place are not what was recorded.
        RegionError: For a place outside the map or without data; it names the nearest with data.
        OutputMismatchError: If imagery, model or catalog are no longer those of the run.
        QueryError: For a query that cannot be asked, or an unknown time slot.

    Examples:
        >>> explain("out/demo", -54.6, -25.4, "a river flowing")  # doctest: +SKIP
    """
    folder = output_path(out)
    question = make_question(None, text, audio, texts, minus)
    open_output(folder).check_access(write=True)
    open_output(folder / names.EXPLANATIONS).check_place()
    looked = look_closer(folder, lon, lat, question, time_slot, codes, catalogs)
    return _write(folder, looked)


def _write(folder: OutputPath, looked: Looked) -> Explanation:
    from s2s_map.viewing.explanation import draw_explanation

    query, store, (lon, lat) = looked.query, looked.store, looked.place
    label = store.time_slots[looked.slot]
    several = len(store.time_slots) > 1
    stem = f"{query.name}_{lon:.4f}_{lat:.4f}" + (f"_{label}" if several else "")
    found = Explanation(
        picture=folder / names.EXPLANATIONS / f"{stem}.png",
        report=folder / names.EXPLANATIONS / f"{stem}.json",
        similarity=looked.similarity,
        cell_similarity=looked.cell_similarity,
        heat=looked.heat,
        codes=looked.codes,
    )
    with replacing_file(found.report) as partial:
        partial.write_text(file_json(_report(looked)), "utf-8")
    draw_explanation(
        found.picture,
        looked.pixels,
        found.heat,
        found.codes,
        title=f"{query.title} at {lon:.4f} {lat:.4f}" + (f", {label}" if several else ""),
        subtitle=(
            f"Cosine similarity: {found.similarity:.3f} for the patch of "
            f"{looked.job.layout.patch_m:,.0f} m, {found.cell_similarity:.3f} for the cell in the "
            "map."
        ),
        attribution=looked.record.provenance().attribution,
        mark=looked.mark,
    )
    return found


def _report(looked: Looked) -> dict[str, Any]:
    record, store, job, query = looked.record, looked.store, looked.job, looked.query
    patchset, cell, place = looked.patchset, looked.cell, looked.place
    centre = patchset.centres([0])
    longitude, latitude = places(centre, str(job.grid.crs))
    provenance = record.provenance()
    return {
        "schema": SCHEMA,
        "created": making_time().isoformat(timespec="seconds"),
        "place": {"lon": place[0], "lat": place[1]},
        "time_slot": store.time_slots[looked.slot],
        "query": {"name": query.name, "title": query.title, **query.describe()},
        "patch": {
            "crs": str(job.grid.crs),
            "bounds": list(patchset.read_bounds),
            "side_m": job.layout.patch_m,
            "centre": {"lon": float(longitude[0]), "lat": float(latitude[0])},
            "similarity": looked.similarity,
        },
        "cell": {
            "row": cell.row,
            "column": cell.column,
            "side_m": job.grid.cell_m,
            "similarity": looked.cell_similarity,
        },
        "token_similarity": [
            [None if np.isnan(value) else round(float(value), 5) for value in row]
            for row in looked.heat
        ],
        "codes": [
            {**asdict(code), "texts": [{"text": t, "activation": a} for t, a in code.texts]}
            for code in looked.codes
        ],
        "model": {**record.model.as_dict(), "sha256": record.model_sha256},
        "imagery": record.imagery.as_dict(),
        "metadata": None if record.metadata is None else dict(record.metadata),
        "attribution": provenance.attribution,
    }
