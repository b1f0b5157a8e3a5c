"""One thread for each process of the tests, which run beside each other: see ``make check``.

Imported before torch, numpy and GDAL, which read these when they are loaded; processes that tests
start inherit them. Who wants other numbers sets the variables before. A test that is about threads
sets their number itself.
"""

from __future__ import annotations

import os

NAMES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GDAL_NUM_THREADS")

for name in NAMES:
    os.environ.setdefault(name, "1")
