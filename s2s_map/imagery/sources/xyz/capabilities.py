"""What a WMTS says of itself (OGC 07-057r7): its layers and matrix sets, parsed and nothing else.

XML of others is hostile until shown otherwise: a document type, with which entities come, ends it,
and so do size and nesting beyond all that servers have.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from s2s_map.errors import ImageryError

MOST_BYTES = 64_000_000
"""Size of capabilities at most; NASA's, of a thousand layers, have six million."""

_MOST_LEVELS, _MOST_NODES = 64, 3_000_000
# Beyond any matrix, and still a number that arithmetic with floats takes.
_MOST_COUNTED = 2**53


@dataclass
class Node:
    """An element without its namespace.

    Attributes:
        name: Its name.
        values: Its attributes.
        inner: Elements in it.
        text: Its text, without spaces around.
    """

    name: str
    values: dict[str, str]
    inner: list[Node] = field(default_factory=list)
    text: str = ""

    def all(self, *path: str) -> list[Node]:
        """Return the elements at a path."""
        found = [self]
        for name in path:
            found = [one for node in found for one in node.inner if one.name == name]
        return found

    def said(self, *path: str) -> str:
        """Return the text of the first element at a path; empty without one."""
        return next((node.text for node in self.all(*path)), "")


@dataclass(frozen=True)
class Matrix:
    """A tile matrix.

    Attributes:
        id: Identifier.
        denominator: Scale denominator, of pixels of 0.28 mm.
        corner: Its top left corner, in the order in which it is written.
        tile_px: Pixels along a tile's side, across and down.
        size: Tiles, across and down.
    """

    id: str
    denominator: float
    corner: tuple[float, float]
    tile_px: tuple[int, int]
    size: tuple[int, int]


@dataclass(frozen=True)
class MatrixSet:
    """A tile matrix set.

    Attributes:
        id: Identifier.
        crs: Its CRS as it is written.
        matrices: In the order in which they are written.
    """

    id: str
    crs: str
    matrices: tuple[Matrix, ...]


Limits = dict[str, tuple[int, int, int, int]]
"""First and last row, first and last column, by matrix."""


@dataclass(frozen=True)
class Layer:
    """A layer.

    Attributes:
        id: Identifier.
        title: Title.
        styles: Identifiers, the default first.
        formats: MIME types.
        bounds: West, south, east, north in degrees; None if it does not say.
        sets: Its matrix sets, each with limits.
        dimensions: Default value by identifier, and the values there are.
        templates: Address by MIME type.
    """

    id: str
    title: str
    styles: tuple[str, ...]
    formats: tuple[str, ...]
    bounds: tuple[float, float, float, float] | None
    sets: dict[str, Limits]
    dimensions: dict[str, tuple[str, tuple[str, ...]]]
    templates: dict[str, str]


@dataclass(frozen=True)
class Capabilities:
    """What a server has.

    Attributes:
        layers: By identifier.
        matrix_sets: By identifier.
        get_tile: Where tiles are asked for by parameters; empty for a server without.
    """

    layers: dict[str, Layer]
    matrix_sets: dict[str, MatrixSet]
    get_tile: str


def parse_capabilities(content: bytes, name: str) -> Capabilities:
    """Return what capabilities say.

    Args:
        content: The document.
        name: What to call it in a message.

    Raises:
        ImageryError: For what is no WMTS's, or is made to do harm.
    """
    try:
        root = _tree(content)
        if root.name != "Capabilities" or not root.all("Contents"):
            raise ValueError(f"its root is {root.name[:60]!r}")
        layers = [_layer(node) for node in root.all("Contents", "Layer")]
        sets = [_matrix_set(node) for node in root.all("Contents", "TileMatrixSet")]
    except (expat.ExpatError, ValueError, OverflowError) as error:
        raise ImageryError(
            f"{name} is no capabilities of a WMTS ({str(error)[:150]})",
            expected="an XML document of WMTS 1.0.0, without a DOCTYPE",
            remedy="check capabilities: in the entry",
        ) from None
    return Capabilities(
        {layer.id: layer for layer in layers if layer.id},
        {one.id: one for one in sets},
        _get_tile(root),
    )


def _tree(content: bytes) -> Node:
    if len(content) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES // 10**6} MB")
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    top = Node("", {})
    open_nodes, count = [top], 0
    # Pieces are joined at the end: one by one, a long text with elements in it takes minutes.
    texts: list[list[str]] = [[]]

    def refuse(*_: object) -> int:
        raise ValueError("it has a document type, or entities")

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > _MOST_NODES or len(open_nodes) > _MOST_LEVELS:
            raise ValueError("too many elements, or nested too deeply")
        node = Node(_local(name), {_local(key): value for key, value in attributes.items()})
        open_nodes[-1].inner.append(node)
        open_nodes.append(node)
        texts.append([])

    def end(_: str) -> None:
        open_nodes.pop().text = "".join(texts.pop()).strip()

    def text(piece: str) -> None:
        texts[-1].append(piece)

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = text
    parser.Parse(content, True)
    return top.inner[0]


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _layer(node: Node) -> Layer:
    styles = sorted(
        node.all("Style"), key=lambda style: style.values.get("isDefault", "") not in ("true", "1")
    )
    return Layer(
        id=node.said("Identifier"),
        title=node.said("Title"),
        styles=tuple(style.said("Identifier") for style in styles),
        formats=tuple(one.text for one in node.all("Format")),
        bounds=_bounds(node),
        sets={
            link.said("TileMatrixSet"): {
                limits.said("TileMatrix"): tuple(  # type: ignore[misc]
                    int(limits.said(name))
                    for name in ("MinTileRow", "MaxTileRow", "MinTileCol", "MaxTileCol")
                )
                for limits in link.all("TileMatrixSetLimits", "TileMatrixLimits")
            }
            for link in node.all("TileMatrixSetLink")
        },
        dimensions={
            one.said("Identifier"): (
                one.said("Default"),
                tuple(value.text for value in one.all("Value")),
            )
            for one in node.all("Dimension")
        },
        templates={
            one.values.get("format", ""): one.values.get("template", "")
            for one in node.all("ResourceURL")
            if one.values.get("resourceType") == "tile"
        },
    )


def _bounds(node: Node) -> tuple[float, float, float, float] | None:
    for box in node.all("WGS84BoundingBox"):
        west, south = _two(box.said("LowerCorner"))
        east, north = _two(box.said("UpperCorner"))
        return west, south, east, north
    return None


def _matrix_set(node: Node) -> MatrixSet:
    matrices = tuple(
        Matrix(
            id=one.said("Identifier"),
            denominator=float(one.said("ScaleDenominator")),
            corner=_two(one.said("TopLeftCorner")),
            tile_px=(_count(one, "TileWidth"), _count(one, "TileHeight")),
            size=(_count(one, "MatrixWidth"), _count(one, "MatrixHeight")),
        )
        for one in node.all("TileMatrix")
    )
    return MatrixSet(node.said("Identifier"), node.said("SupportedCRS"), matrices)


def _count(node: Node, name: str) -> int:
    return min(int(node.said(name)), _MOST_COUNTED)


def _two(text: str) -> tuple[float, float]:
    first, second = (float(part) for part in text.split())
    return first, second


def _get_tile(root: Node) -> str:
    for operation in root.all("OperationsMetadata", "Operation"):
        if operation.values.get("name") != "GetTile":
            continue
        for get in operation.all("DCP", "HTTP", "Get"):
            ways = [way.text for way in get.all("Constraint", "AllowedValues", "Value")]
            if not ways or "KVP" in ways:
                return get.values.get("href", "")
    return ""
