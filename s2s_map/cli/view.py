"""``s2s-map view``: look into a finished run in the browser, and ask it there."""

from __future__ import annotations

import os
import sys
import threading
from typing import Annotated

import typer

from s2s_map.cli.console import Console, styled
from s2s_map.errors import ConfigError
from s2s_map.extras import check_extra


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
    from s2s_map.outputs.output import open_output
    from s2s_map.outputs.path import output_path
    from s2s_map.server.serve import serve_until, start
    from s2s_map.server.site import Basemap, Site

    below = None
    if basemap is not None:
        _check_basemap(basemap, basemap_attribution)
        below = Basemap(basemap, basemap_attribution)
    console = Console(soft_wrap=True)
    folder = output_path(out)
    open_output(folder).check_access()
    site = Site(folder, below)
    site.watched.now()

    def ready(url: str) -> None:
        console.print(styled("Map of ", (out, "bold"), ": ", (url, "bold cyan")))
        if host not in ("127.0.0.1", "localhost", "::1"):
            console.print(
                f"listening at {host}: whoever reaches this machine can look at the map, and with "
                "the address's token ask and write layers; the connection is not encrypted"
            )
        console.print("Ctrl-C ends it.")
        sys.stdout.flush()
        if not no_open:
            # A browser of the terminal would take the terminal.
            threading.Thread(target=_open, args=(url,), daemon=True).start()

    serve_until(threading.Event(), start(site, port, host, tuple(name or ())), ready)
    if site.is_keeping:
        console.print("stopped while a layer was kept; what was there is whole, keep it again")
    else:
        console.print("stopped")
    site.close()
    # What computes in threads would be waited for, and has nothing to finish.
    sys.stdout.flush()
    os._exit(0)


def _open(url: str) -> None:
    import webbrowser

    webbrowser.open(url)


def _check_basemap(url: str, attribution: str) -> None:
    known = url.startswith(("https://", "http://")) and all(
        part in url for part in ("{z}", "{x}", "{y}")
    )
    if not known or any(c in url for c in " ;,'\""):
        raise ConfigError(
            f"--basemap {url}", expected="https://HOST/.../{z}/{x}/{y}.png, an address of tiles"
        )
    if not attribution:
        raise ConfigError(
            "--basemap without --basemap-attribution", expected="whose map it is, to be shown"
        )
