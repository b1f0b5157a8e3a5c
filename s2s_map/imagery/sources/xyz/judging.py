"""What an answer is worth: imagery, a placeholder for none, or a fault."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.webtiles import BlankConfig


class FetchError(Exception):
    """An answer that is not imagery; the text says why, without the address."""


class TransientError(FetchError):
    """One that another attempt may fix.

    Args:
        reason: Why.
        retry_after: Seconds that the server asked to wait.
        troubled: Whether the server is in trouble, rather than this one web tile.
    """

    def __init__(
        self, reason: str, retry_after: float | None = None, troubled: bool = True
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.troubled = troubled


class RefusedError(FetchError):
    """One that says that nothing will be served: the key is wrong, or used up."""


def decode(body: bytes, tile_px: int) -> NDArray[np.uint8]:
    """Return red, green, blue, alpha of shape (4, y, x).

    Raises:
        TransientError: For what is not an image, is cut short, or has another size.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(body), formats=("JPEG", "PNG", "WEBP", "GIF")) as image:
            if image.size != (tile_px, tile_px):
                raise TransientError(
                    f"an image of {image.size[0]} x {image.size[1]} px instead of {tile_px}",
                    troubled=False,
                )
            rgba = np.asarray(image.convert("RGBA"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TransientError("an image that declares far too many pixels", troubled=False) from None
    except UnidentifiedImageError:
        raise TransientError(f"{_kind(body)} instead of an image", troubled=False) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise TransientError(f"a broken image ({error})", troubled=False) from None
    return np.ascontiguousarray(np.moveaxis(rgba, -1, 0))


def is_placeholder(
    headers: Mapping[str, str], body: bytes, pixels: NDArray[np.uint8], blank: BlankConfig
) -> bool:
    """Return whether an image stands for no imagery, as the entry declares.

    Args:
        headers: The answer's; names in any case.
        body: The file.
        pixels: It decoded, (4, y, x).
        blank: What the entry declares.
    """
    if blank.sha256 and hashlib.sha256(body).hexdigest() in blank.sha256:
        return True
    if not pixels[3].any():
        return True
    if blank.colour and (pixels[:3] == pixels[:3, :1, :1]).all():
        return "#{:02x}{:02x}{:02x}".format(*pixels[:3, 0, 0].tolist()) in blank.colour
    return says_blank(headers, blank)


def says_blank(headers: Mapping[str, str], blank: BlankConfig) -> bool:
    """Return whether an answer carries the header that stands for no imagery."""
    if blank.header is None:
        return False
    name, _, value = blank.header.partition(":")
    said = headers.get(name.strip(), "")
    return said.strip().lower() == value.strip().lower()


def judge_status(status: int, retry_after: float | None, blank: BlankConfig) -> bool:
    """Return whether a status says that there is no imagery here; False for one that has some.

    Raises:
        TransientError: For 408, 425, 429 and 5xx.
        RefusedError: For 401, 402, 403 and 407.
        FetchError: For any other.
    """
    if status in blank.status:
        return True
    if status == 200:
        return False
    if status in (408, 425, 429) or status >= 500:
        raise TransientError(f"status {status}", retry_after)
    if status in (401, 402, 403, 407):
        raise RefusedError(f"status {status}: the key is missing, wrong or used up")
    if 300 <= status < 400:
        raise FetchError(f"status {status}: it is elsewhere, which is not followed")
    raise FetchError(f"status {status}")


def _kind(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "nothing"
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if start.startswith(b"<"):
        return "XML"
    return "JSON" if start.startswith((b"{", b"[")) else "something unknown"
