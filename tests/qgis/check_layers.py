"""Open GeoTIFFs as QGIS does for a person, and print as JSON what a person would see.

Run by QGIS's own Python, not the project's:
    QT_QPA_PLATFORM=offscreen /usr/bin/python3 check_layers.py REQUEST.json

The request: {"layers": [{"path": ..., "points": [[x, y], ...]}], "pictures": FOLDER or null}.
A path may also be anything else that QGIS's GDAL opens, such as ZARR:"maps.zarr":/probability:0.
"""

import json
import sys
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsLayerTree,
    QgsLayerTreeModel,
    QgsLegendRenderer,
    QgsLegendSettings,
    QgsMapRendererCustomPainterJob,
    QgsMapSettings,
    QgsPointXY,
    QgsRasterLayer,
    QgsRenderContext,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor, QImage, QPainter

SIZE = 400


def main(request_path: str) -> None:
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    app = QgsApplication([], False)
    app.initQgis()
    pictures = Path(request["pictures"]) if request.get("pictures") else None
    print(json.dumps([check(item, pictures) for item in request["layers"]]))
    sys.stdout.flush()
    app.exitQgis()


def check(item: dict, pictures: "Path | None") -> dict:
    # The default options load the style that lies beside the file, as drag and drop does.
    layer = QgsRasterLayer(item["path"], Path(item["path"]).stem, "gdal")
    if not layer.isValid():
        return {"valid": False, "error": layer.error().message()}
    provider, extent = layer.dataProvider(), layer.extent()
    image = render(layer)
    if pictures:
        image.save(str(pictures / f"{Path(item['path']).stem}-qgis.png"))
        legend(layer).save(str(pictures / f"{Path(item['path']).stem}-legend.png"))
    return {
        "valid": True,
        "crs": layer.crs().authid(),
        "extent": [
            extent.xMinimum(),
            extent.yMinimum(),
            extent.xMaximum(),
            extent.yMaximum(),
        ],
        "bands": [layer.bandName(i + 1) for i in range(layer.bandCount())],
        "nodata": [provider.sourceHasNoDataValue(i + 1) for i in range(layer.bandCount())],
        "renderer": describe(layer.renderer()),
        "samples": [sample(provider, point, layer.bandCount()) for point in item["points"]],
        "picture": picture_statistics(image),
        "legend": legend_texts(layer),
    }


def describe(renderer) -> dict:
    found = {"type": renderer.type()}
    if renderer.type() == "singlebandpseudocolor":
        function = renderer.shader().rasterShaderFunction()
        found.update(
            band=renderer.band(),
            minimum=renderer.classificationMin(),
            maximum=renderer.classificationMax(),
            interpolated=function.colorRampType() == function.Interpolated,
            colours=[entry.color.name() for entry in function.colorRampItemList()],
        )
    return found


def sample(provider, point: list, bands: int) -> list:
    values = []
    for band in range(1, bands + 1):
        value, ok = provider.sample(QgsPointXY(*point), band)
        values.append(value if ok else None)
    return values


def render(layer) -> QImage:
    return draw([layer], layer.crs(), layer.extent())


def draw(layers, crs, extent) -> QImage:
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(crs)
    settings.setExtent(extent)
    settings.setOutputSize(QSize(SIZE, SIZE))
    settings.setBackgroundColor(QColor(0, 0, 0, 0))
    image = QImage(QSize(SIZE, SIZE), QImage.Format_ARGB32)
    image.fill(0)
    painter = QPainter(image)
    job = QgsMapRendererCustomPainterJob(settings, painter)
    job.renderSynchronously()
    painter.end()
    return image


def legend(layer) -> QImage:
    tree = QgsLayerTree()
    tree.addLayer(layer)
    model = QgsLayerTreeModel(tree)
    renderer = QgsLegendRenderer(model, QgsLegendSettings())
    image = QImage(QSize(900, 420), QImage.Format_ARGB32)
    image.setDotsPerMeterX(5900)
    image.setDotsPerMeterY(5900)
    image.fill(QColor("white"))
    painter = QPainter(image)
    context = QgsRenderContext.fromQPainter(painter)
    context.setScaleFactor(5900 / 1000)
    painter.scale(context.scaleFactor(), context.scaleFactor())
    renderer.drawLegend(context)
    painter.end()
    return image


def legend_texts(layer) -> list:
    tree = QgsLayerTree()
    node = tree.addLayer(layer)
    model = QgsLayerTreeModel(tree)
    texts = []
    for entry in model.layerLegendNodes(node):
        texts.append(str(entry.data(0)))  # Qt.DisplayRole
        settings = getattr(entry, "settings", None)
        if settings is not None:
            texts += [settings().minimumLabel(), settings().maximumLabel()]
    return texts


def picture_statistics(image: QImage) -> dict:
    colours, opaque = set(), 0
    for row in range(0, SIZE, 4):
        for column in range(0, SIZE, 4):
            colour = image.pixelColor(column, row)
            if colour.alpha() > 0:
                opaque += 1
                colours.add(colour.name())
    return {"opaque_share": opaque / (SIZE / 4) ** 2, "colours": len(colours)}


if __name__ == "__main__":
    main(sys.argv[1])
