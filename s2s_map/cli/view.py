"""``s2s-map view``: look into a finished run in the browser, and ask it there."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

from s2s_map.cli.console import Console, styled
from s2s_map.extras import check_extra

if TYPE_CHECKING:
    from s2s_map.server.site import Site


def view_command(
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="Output of a finished run or of a batch: a folder or s3://BUCKET/PREFIX.",
            show_default=False,
        ),
    ],
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port; 0 for any that is free.")
    ] = 8000,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Only print the address; open no browser.")
    ] = False,
    host: Annotated[
        str,
        typer.Option("--host", help="Address to listen at; others than 127.0.0.1 let others in."),
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="A further host name it is called by; repeatable."),
    ] = None,
    basemap: Annotated[
        str | None,
        typer.Option(
            "--basemap",
            metavar="URL",
            help="Online tiles below the imagery, https://.../{z}/{x}/{y}.png; asked by the "
            "browser.",
        ),
    ] = None,
    basemap_attribution: Annotated[
        str, typer.Option("--basemap-attribution", help="Whose basemap it is.")
    ] = "",
) -> None:
    """Open the map in a browser: pan, click, ask anything, keep the answers you like.

    Ctrl-C ends it. Nothing is sent anywhere: the page comes from this machine.

    s2s-map view out/demo
    """
    check_extra("view", "s2s-map view")
    from s2s_map.outputs.path import output_path
    from s2s_map.server.basemap import Basemap
    from s2s_map.server.finished import check_finished
    from s2s_map.server.serve import start

    console = Console(soft_wrap=True)
    below = None if basemap is None else Basemap.checked(basemap, basemap_attribution)
    folder = output_path(out)
    check_finished(folder)

    @cache
    def site() -> Site:
        from s2s_map.server.site import Site

        return Site(folder, below)

    serving = start(site, port, host, tuple(name or ()), "" if below is None else below.origin)
    opening = _Opening(site)
    try:
        _say(console, out, serving.url, host)
        if not no_open:
            # A browser of the terminal would take the terminal.
            threading.Thread(target=webbrowser.open, args=(serving.url,), daemon=True).start()
        # While the browser reads the page. In a thread: Ctrl-C in an import may become anything.
        opening.start()
        opening.failed.wait()
    except KeyboardInterrupt:
        pass
    finally:
        serving.stop()
    if opening.error is not None:
        raise opening.error
    console.print(opening.last_words())
    # What computes in threads would be waited for, and has nothing to finish.
    sys.stdout.flush()
    os._exit(0)


class _Opening(threading.Thread):
    """Opens what is looked at, so that what is damaged is said in the terminal, too."""

    def __init__(self, site: Callable[[], Site]) -> None:
        super().__init__(name="opening", daemon=True)
        self._site, self._opened = site, False
        self.failed = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        """Open it."""
        try:
            self._site().watched.now()
            self._opened = True
        except Exception as error:
            self.error = error
            self.failed.set()

    def last_words(self) -> str:
        """Return how it ended, and remove what was copied to this machine."""
        if not self._opened:
            return "stopped"
        keeping = self._site().is_keeping
        self._site().close()
        return (
            "stopped while a layer was kept; what was there is whole, keep it again"
            if keeping
            else "stopped"
        )


def _say(console: Console, out: str, url: str, host: str) -> None:
    console.print(styled("Map of ", (out, "bold"), ": ", (url, "bold cyan")))
    if host not in ("127.0.0.1", "localhost", "::1"):
        console.print(
            f"listening at {host}: whoever reaches this machine can look at the map, and with "
            "the address's token ask and write layers; the connection is not encrypted"
        )
    console.print("Ctrl-C ends it.")
    sys.stdout.flush()
