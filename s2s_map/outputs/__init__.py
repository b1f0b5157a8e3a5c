"""Where the files of a run lie, on disk or in an object store and who may write there."""
