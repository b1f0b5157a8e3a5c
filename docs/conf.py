"""Settings of the docs site; ``make docs`` builds it.

The source is the whole repository, so that README, docs and benchmarks link to each other as they
do on GitHub, and every such link is checked. Nothing is fetched while building.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer.cli import get_docs_for_click

if TYPE_CHECKING:
    from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "_site"))

project = "s2s_map"
author = "the s2s_map authors"
version = release = version_of("s2s-map")
root_doc = "docs/index"
language = "en"
smartquotes = False  # options are written with two hyphens

include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/*.md", "docs/**"]
# Folders that are not walked.
exclude_patterns = [".*", "out", "dist", "data", "s2s_map", "tests", "workflows", "docs/_site"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "config_keys",
]
myst_enable_extensions = ["colon_fence", "deflist"]
# Slugs of headings as GitHub makes them, to which pages link: PAGE.md#heading.
myst_heading_anchors = 3

default_role = "py:obj"
add_module_names = False
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]

html_theme = "pydata_sphinx_theme"
html_title = f"s2s_map {release}"
html_extra_path = ["_site/index.html"]
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_sidebars = {"README": [], "docs/index": []}
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": [],
}

# Pages that are read as files, too, or written by a program: what only the site adds to them.
_DECISIONS = "\n```{toctree}\n:hidden:\n:glob:\n:maxdepth: 1\n\n0*\n```\n"


def _complete(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname == "docs/adr/README":
        source[0] += _DECISIONS
    elif docname == "docs/commands":
        source[0] += _commands()


def _commands() -> str:
    """Return what ``--help`` says of every command, as Markdown."""
    from s2s_map.cli.app import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="s2s-map")
    lines = [line for line in text.splitlines() if not line.startswith("* `--help`")]
    # The first heading is the page's own. Lists of subcommands are cut short, and follow in full.
    text = "\n".join(lines[1:]).replace("```console\n$ ", "```text\n")
    return re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n?)+", "", text)


def _without_constructor(
    app: Sphinx, what: str, name: str, found: object, options: object, *signature: str | None
) -> tuple[str, None] | None:
    """Show no constructor of a protocol: nobody calls it."""
    return ("", None) if what == "class" and getattr(found, "_is_protocol", False) else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _complete)
    app.connect("autodoc-process-signature", _without_constructor)
