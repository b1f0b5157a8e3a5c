"""What the files of an output are called."""

EMBEDDINGS = "embeddings.zarr"
LEDGER = "ledger.jsonl"
MAPS = "maps.zarr"
IMAGERY = "imagery.tif"
PREVIEW = "preview.png"
ITEM = "item.json"
RECORD = "run.json"
SEARCH = "search.json"
EXPLANATIONS = "explanations"

HOME = (EMBEDDINGS, LEDGER, SEARCH)
"""What lies together: the embeddings, what is known of them, and what they were searched by."""

RESULTS = (MAPS, IMAGERY, PREVIEW, ITEM, RECORD)
"""What every run writes beside its layers."""

NEXT = ".next"
"""In a folder: what is being made, until it is published."""
MANIFEST = ".manifest.json"
"""In a folder: what was published last, see `pipeline.manifest`."""
SWITCH = ".switch.json"
"""In a folder: what is to be moved where, from when new results are whole until they are there."""
