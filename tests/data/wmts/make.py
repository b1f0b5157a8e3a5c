"""Cut recorded capabilities of WMTS servers down to a few layers and their matrix sets.

    python make.py OWSLIB

`OWSLIB` is a checkout of the public repository that README.md names.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
NAMES = {
    "": "http://www.opengis.net/wmts/1.0",
    "ows": "http://www.opengis.net/ows/1.1",
    "xlink": "http://www.w3.org/1999/xlink",
}
WMTS, OWS = f"{{{NAMES['']}}}", f"{{{NAMES['ows']}}}"
KEPT = {
    "eosdis-wmts-cap.xml": (
        "nasa_eosdis",
        ("MODIS_Terra_CorrectedReflectance_TrueColor", "MODIS_Aqua_CorrectedReflectance_TrueColor"),
    ),
    "geoserver21-wmts-cap.xml": ("geoserver", ("geonode:LMEs_64",)),
}


def cut(source: Path, layers: tuple[str, ...]) -> ET.ElementTree:
    """Return capabilities with some layers, and the matrix sets that these have."""
    tree = ET.parse(source)  # noqa: S314
    root = tree.getroot()
    for name in ("ServiceIdentification", "ServiceProvider"):
        for node in root.findall(OWS + name):
            root.remove(node)
    contents = root.find(f"{WMTS}Contents")
    assert contents is not None
    used = set()
    for layer in contents.findall(f"{WMTS}Layer"):
        if layer.findtext(f"{OWS}Identifier") not in layers:
            contents.remove(layer)
            continue
        for node in layer.findall(f"{OWS}Abstract"):
            layer.remove(node)
        used |= {node.text for node in layer.iter(f"{WMTS}TileMatrixSet")}
    for matrix_set in contents.findall(f"{WMTS}TileMatrixSet"):
        if matrix_set.findtext(f"{OWS}Identifier") not in used:
            contents.remove(matrix_set)
    ET.indent(tree, " ")
    return tree


def main(owslib: Path) -> None:
    """Write the cut documents beside this file."""
    for prefix, address in NAMES.items():
        ET.register_namespace(prefix, address)
    for file, (name, layers) in KEPT.items():
        tree = cut(owslib / "tests" / "resources" / file, layers)
        tree.write(HERE / f"{name}.xml", encoding="UTF-8", xml_declaration=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
