"""Open a project as QGIS does for a person, and print as JSON what a person would see.

Run by QGIS's own Python, not the project's:
    QT_QPA_PLATFORM=offscreen /usr/bin/python3 check_project.py PROJECT.qgz [PICTURE.png]
"""

import json
import sys

from check_layers import SIZE, draw
from qgis.core import (
    QgsApplication,
    QgsDateTimeRange,
    QgsLayerTreeGroup,
    QgsProject,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QImage


def main(path: str, picture: str) -> None:
    app = QgsApplication([], False)
    app.initQgis()
    project = QgsProject.instance()
    read = project.read(path)
    bad = [layer.name() for layer in project.mapLayers().values() if not layer.isValid()]
    image = render(project)
    if picture:
        image.save(picture)
    settings = project.timeSettings()
    interval = settings.temporalRange()
    view = project.viewSettings().defaultViewExtent()
    found = {
        "read": read,
        "error": project.error(),
        "invalid": bad,
        "title": project.title(),
        "crs": project.crs().authid(),
        "crs_valid": project.crs().isValid(),
        "tree": tree(project.layerTreeRoot()),
        "layers": [describe(one.layer()) for one in project.layerTreeRoot().findLayers()],
        "extent": [view.xMinimum(), view.yMinimum(), view.xMaximum(), view.yMaximum()],
        "time": [iso(interval.begin()), iso(interval.end())] if not interval.isInfinite() else [],
        "step": [settings.timeStep(), int(settings.timeStepUnit())],
        "mode": project.readNumEntry("TemporalControllerWidget", "/NavigationMode", 0)[0],
        "frames": frames(project) if not interval.isInfinite() else [],
        "picture": colours(image),
    }
    print(json.dumps(found))
    sys.stdout.flush()
    project.clear()
    app.exitQgis()


def tree(group) -> list:
    found = []
    for child in group.children():
        below = tree(child) if isinstance(child, QgsLayerTreeGroup) else None
        found.append([child.name(), child.itemVisibilityChecked(), below])
    return found


def describe(layer) -> dict:
    temporal = layer.temporalProperties()
    interval = temporal.fixedTemporalRange()
    return {
        "name": layer.name(),
        "crs": layer.crs().authid(),
        "same_crs": layer.crs() == layer.dataProvider().crs(),
        "renderer": layer.renderer().type(),
        "rights": layer.metadata().rights(),
        "attribution": layer.attribution(),
        "time": [iso(interval.begin()), iso(interval.end())] if temporal.isActive() else [],
    }


def iso(time) -> str:
    return time.toString(Qt.ISODate)


def frames(project) -> list:
    """Return the names of the visible layers that each month or hour of the animation shows."""
    start = project.timeSettings().temporalRange().begin()
    last = project.timeSettings().temporalRange().end()
    found = []
    while start < last:
        end = start.addSecs(3600) if hourly(project) else start.addMonths(1)
        frame = QgsDateTimeRange(start, end, True, False)
        found.append(
            [
                node.name()
                for node in project.layerTreeRoot().findLayers()
                if node.isVisible()
                and node.layer().temporalProperties().isVisibleInTemporalRange(frame)
            ]
        )
        start = end
    return found


def hourly(project) -> bool:
    interval = project.timeSettings().temporalRange()
    return interval.begin().secsTo(interval.end()) <= 86400


def render(project) -> QImage:
    root = project.layerTreeRoot()
    shown = [one for one in root.layerOrder() if root.findLayer(one.id()).isVisible()]
    return draw(shown, project.crs(), project.viewSettings().defaultViewExtent())


def colours(image: QImage) -> int:
    return len(
        {
            image.pixelColor(column, row).name()
            for row in range(0, SIZE, 4)
            for column in range(0, SIZE, 4)
            if image.pixelColor(column, row).alpha()
        }
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
