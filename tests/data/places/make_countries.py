"""Makes countries.csv: how each country that ships is mapped by its name.

PYTHONPATH=tests .venv/bin/python tests/data/places/make_countries.py
"""

import csv

from fixtures_places import COLUMNS, TABLE, rows

with TABLE.open("w", encoding="utf-8", newline="") as stream:
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.fields() for row in rows())
