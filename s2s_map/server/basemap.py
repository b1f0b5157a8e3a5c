"""An online map below the imagery, only if the user names one."""

from __future__ import annotations

from dataclasses import dataclass

from s2s_map.errors import ConfigError


@dataclass(frozen=True)
class Basemap:
    """An online map below the imagery, which the user named.

    Attributes:
        url: Of its tiles, with {z}, {x} and {y}.
        attribution: Whose it is.
    """

    url: str
    attribution: str

    @property
    def origin(self) -> str:
        """Scheme and host, for the content security policy."""
        return "/".join(self.url.split("/")[:3])

    @classmethod
    def checked(cls, url: str, attribution: str) -> Basemap:
        """Return a basemap.

        Raises:
            ConfigError: For what is no address of tiles, or one that says not whose they are.
        """
        known = url.startswith(("https://", "http://")) and all(
            part in url for part in ("{z}", "{x}", "{y}")
        )
        # It stands in a header, which takes no other characters.
        if not known or not url.isascii() or not url.isprintable() or set(url) & set(" ;,'\""):
            raise ConfigError(
                f"--basemap {url}",
                expected="https://HOST/.../{z}/{x}/{y}.png, an address of tiles",
            )
        if not attribution:
            raise ConfigError(
                "--basemap without --basemap-attribution", expected="whose map it is, to be shown"
            )
        return cls(url, attribution)
