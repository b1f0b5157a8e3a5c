"""Whether the workers of a cluster have the packages, and the time, of this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from s2s_map.errors import ClusterError
from s2s_map.plugins.registry import used_packages

if TYPE_CHECKING:
    from distributed import Client

CHECKED = (
    "s2s-map",
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "numpy",
    "zarr",
    "distributed",
)
"""Packages that workers must have in the version of this process."""

_SKEW_S = 5.0


def check_versions(client: Client) -> None:
    """Compare the packages of the workers with those of this process.

    Raises:
        ClusterError: With every difference of the first worker that has one.
    """
    here: Any = client.get_versions()
    python = _minor(here["client"]["host"]["python"])
    for worker, there in here["workers"].items():
        theirs = _minor(there["host"]["python"])
        if theirs != python:
            _refuse(worker, [f"Python {theirs} there, {python} here"])
    probe = _probe()
    checked = (*CHECKED, *used_packages())
    mine = probe(checked)
    for worker, packages in client.run(probe, checked).items():
        differences = version_differences(packages, mine)
        if differences:
            _refuse(worker, differences)


def clock_skews(client: Client) -> list[str]:
    """Compare the workers' clocks with this process's: a line for each that is seconds off."""

    def clock() -> float:
        import time

        return time.time()

    found = []
    before = clock()
    answers = client.run(clock)
    after = clock()
    for worker, there in answers.items():
        # It was read some time between both: what this explains is not its clock.
        skew = there - min(max(there, before), after)
        if abs(skew) > _SKEW_S:
            found.append(
                f"the clock of worker {worker} is {abs(skew):.0f} s "
                f"{'ahead of' if skew > 0 else 'behind'} this machine's: blocks and locks do not "
                "depend on it, but signed links of imagery may be taken for valid or expired "
                "wrongly; set it by NTP"
            )
    return found


def version_differences(
    there: Mapping[str, str | None], here: Mapping[str, str | None]
) -> list[str]:
    """Return what differs, each as a phrase; builds of one version are alike (2.8.0+cu128)."""
    found = []
    for name, mine in here.items():
        theirs = there.get(name)
        if (theirs or "").partition("+")[0] != (mine or "").partition("+")[0]:
            found.append(f"{name} {theirs or 'missing'} there, {mine or 'missing'} here")
    return found


def installed_versions(names: Iterable[str] | None = None) -> dict[str, str | None]:
    """Return versions of packages in this process; None for what is missing.

    Args:
        names: The packages; `CHECKED` and what this process has used of other packages if None.
    """
    checked = (*CHECKED, *used_packages()) if names is None else tuple(names)
    found: dict[str, str | None] = _probe()(checked)
    return found


def _refuse(worker: str, differences: list[str]) -> None:
    raise ClusterError(
        f"worker {worker} has other versions: {', '.join(differences)}",
        remedy="install the same on the workers as here; requirements.txt has the hashes",
    )


def _probe() -> Any:
    # A function within a function travels as its code: it works on workers without s2s_map.
    def versions(names: tuple[str, ...]) -> dict[str, str | None]:
        from importlib.metadata import PackageNotFoundError, version

        found: dict[str, str | None] = {}
        for name in names:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = None
        return found

    return versions


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
