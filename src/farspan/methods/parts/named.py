"""What is found by its name: a file of a folder with a function of the same name, or an installed entry point."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from farspan.errors import MethodError, nearest

F = TypeVar("F")


@dataclass(frozen=True)
class Named(Generic[F]):
    """The files of a package, which is also the group of entry points; `kind` is what an error calls one of them, and
    `elsewhere` what it says of those that are none.

    Both are looked for once.
    """

    package: str
    folders: Iterable[str]
    kind: str
    elsewhere: str = ""

    def names(self) -> list[str]:
        """All that are installed, sorted."""
        return sorted({*self._files, *self._points})

    def get(self, name: str) -> F:
        """The one of that name; an entry point goes before a file. Raises MethodError that names the nearest."""
        points = self._points
        if name in points:
            return cast(F, points[name].load())
        if name in self._files:
            return cast(F, getattr(importlib.import_module(f"{self.package}.{name}"), name))
        raise MethodError(f"there is no {self.kind} {name!r}", fix=nearest(name, self.names()) + self.elsewhere)

    @cached_property
    def _files(self) -> frozenset[str]:
        return frozenset(module.name for module in pkgutil.iter_modules(self.folders) if not module.ispkg)

    @cached_property
    def _points(self) -> Mapping[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.package)}
