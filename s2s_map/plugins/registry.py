"""Kinds of one thing by name: built in, of an installed package, or of a module of your own.

What is built in is named as ``module:attribute`` too, and imported when it is asked for. Packages
say what they bring by entry points; these are read when a name is not built in, and a package is
imported when it is the one that was named.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from s2s_map.errors import PluginError

PREFIX = "python:"
"""Begins the name of an object in a module that Python finds: ``python:MODULE:NAME``."""

INTERFACE = 1
"""Version of what is asked of a kind; a kind says for which it was written."""


@dataclass(frozen=True)
class Package:
    """An installed package that brings a kind.

    Attributes:
        name: Its name, as it is installed by.
        version: Its version.
    """

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def as_dict(self) -> dict[str, str]:
        """Return it as JSON: part of the identity of what it helped to make."""
        return {"package": self.name, "version": self.version}


_REGISTRIES: list[Registry[Any]] = []


class Registry[Kind]:
    """Kinds of one thing, each an object with certain attributes.

    Args:
        group: The group of entry points that packages use, such as ``s2s_map.sources``.
        key: What a config writes before the name, such as ``type``.
        built_in: Where the built-in kinds lie, ``module:attribute`` by name.
        needs: Attributes that every kind has.
    """

    def __init__(
        self, group: str, key: str, built_in: Mapping[str, str], needs: tuple[str, ...]
    ) -> None:
        self.group = group
        self.key = key
        self.built_in = dict(built_in)
        self.needs = needs
        self._loaded: dict[str, Kind] = {}
        _REGISTRIES.append(self)

    def installed(self) -> dict[str, tuple[EntryPoint, ...]]:
        """Return what packages bring, by name; nothing of them is imported."""
        found: dict[str, tuple[EntryPoint, ...]] = {}
        for point in _points(self.group, tuple(sys.path)):
            found[point.name] = (*found.get(point.name, ()), point)
        return found

    def get(self, name: str) -> Kind:
        """Return a kind.

        Args:
            name: A built-in name, one of an installed package, or ``python:MODULE:NAME``.

        Raises:
            PluginError: For a name that is unknown or that two packages bring, and for what cannot
                be imported or was written for another version of s2s-map.
        """
        if name not in self._loaded:
            found = self._find(name)
            if name not in self.built_in:
                self._check(name, found)
            self._loaded[name] = cast("Kind", found)
        package = self.package(name)
        if package is not None:
            use_package(package.name, package.version)
        return self._loaded[name]

    def package(self, name: str) -> Package | None:
        """Return the package that brings a kind; None if it is built in or of a module."""
        if name in self.built_in or name.startswith(PREFIX):
            return None
        return _package(self._point(name))

    def forget(self) -> None:
        """Import kinds that are not built in anew when they are asked for next."""
        self._loaded = {n: kind for n, kind in self._loaded.items() if n in self.built_in}

    def _find(self, name: str) -> object:
        if name in self.built_in:
            return _resolve(self.built_in[name])
        if name.startswith(PREFIX):
            try:
                return _resolve(name.removeprefix(PREFIX))
            except (Exception, SystemExit) as error:
                raise PluginError(
                    f"{self.key}: {name} cannot be imported ({_short(error)})",
                    expected="python:MODULE:NAME",
                    remedy="put its module on the PYTHONPATH, of workers too",
                ) from error
        point = self._point(name)
        try:
            return point.load()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{self.key}: {name} comes with the package {_package(point)}, which cannot be "
                f"imported ({_short(error)})",
                remedy="update that package, or what it needs; or uninstall it",
            ) from error

    def _point(self, name: str) -> EntryPoint:
        installed = self.installed()
        points = installed.get(name, ())
        if len(points) == 1:
            return points[0]
        if points:
            raise PluginError(
                f"{self.key}: {name} comes with {len(points)} packages: "
                f"{', '.join(sorted(str(_package(p)) for p in points))}",
                expected="one",
                remedy="uninstall the others",
            )
        near = difflib.get_close_matches(name[:60], [*self.built_in, *installed], n=1, cutoff=0.6)
        raise PluginError(
            f"no {self.key}: {name[:60]!r}",
            expected=self.known(),
            remedy=f"did you mean {near[0]!r}?"
            if near
            else "install the package that brings it (pip install PACKAGE), or name an object of "
            "your own as python:MODULE:NAME",
        )

    def known(self) -> str:
        """Return which names there are, in words."""
        others = [
            f"{name} ({', '.join(str(_package(p)) for p in points)})"
            for name, points in sorted(self.installed().items())
            if name not in self.built_in
        ]
        return f"{self.key}: {' or '.join(self.built_in)} (built in), or of packages: " + (
            ", ".join(others) or "none is installed"
        )

    def faults(self) -> list[str]:
        """Return what is wrong with what packages bring, a line each; imports all of them."""
        found = []
        for name, points in sorted(self.installed().items()):
            if name in self.built_in:
                brought = ", ".join(str(_package(p)) for p in points)
                found.append(f"{self.key}: {name} is built in, that of {brought} is not used")
                continue
            try:
                self.get(name)
            except PluginError as error:
                found.append(str(error))
        return found

    def _check(self, name: str, found: object) -> None:
        package = None if name.startswith(PREFIX) else self.package(name)
        whose = f"{self.key}: {name}" + ("" if package is None else f" of the package {package}")
        interface = getattr(found, "interface", None)
        lacking = [need for need in self.needs if not hasattr(found, need)]
        if interface is None or lacking:
            without = ", ".join([*(["interface"] if interface is None else []), *lacking])
            raise PluginError(
                f"{whose} is a {type(found).__name__} without {without}",
                expected=f"an object with {', '.join(('interface', *self.needs))}",
                remedy="see docs/adding.md",
            )
        if interface != INTERFACE:
            raise PluginError(
                f"{whose} was written for version {str(interface)[:20]} of the interface",
                expected=f"version {INTERFACE}, that of this s2s-map",
                remedy="install a version of it that fits, or another s2s-map",
            )


def look_again() -> None:
    """Forget which packages are installed, and what they bring: some were added or removed."""
    _points.cache_clear()
    for registry in _REGISTRIES:
        registry.forget()
    _USED.clear()


def brought_by(registry: Registry[Any], name: str) -> dict[str, Any]:
    """Return what an identity says of the package of a kind: nothing for what is built in.

    Args:
        registry: Where it is registered.
        name: The kind.
    """
    package = registry.package(name)
    return {} if package is None else {"plugin": package.as_dict()}


def use_package(name: str, version: str) -> None:
    """Note that what this process does depends on a package."""
    _USED[name] = version


def used_packages() -> dict[str, str]:
    """Return the versions of the packages that this process depends on so, by name."""
    return dict(sorted(_USED.items()))


_USED: dict[str, str] = {}


@cache
def _points(group: str, _path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    # Reading what is installed takes 20 ms: once for each search path.
    return tuple(entry_points(group=group))


def _package(point: EntryPoint) -> Package:
    if point.dist is None:
        return Package(point.module.partition(".")[0], "unknown")
    return Package(point.dist.name, point.dist.version)


def _resolve(place: str) -> Any:
    module, _, attribute = place.partition(":")
    if not (module and attribute):
        raise ValueError("MODULE and NAME are both needed")
    found: Any = import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
