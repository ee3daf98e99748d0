"""SDKs that the application imports after `instrument()`: hooked in that moment, and not imported for nothing.

Importing an SDK takes half a second; an application that uses one of the two does not pay for the other.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["forget", "when_imported"]


def when_imported(name: str, then: Callable[[], None]) -> None:
    """Call ``then`` right after module ``name`` is imported, once."""
    forget(name)
    sys.meta_path.insert(0, _Finder(name, then))


def forget(name: str) -> None:
    """Wait for ``name`` no more."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not (isinstance(finder, _Finder) and finder.name == name)]


class _Finder(MetaPathFinder):
    """Finds ``name`` as everybody else would. Stays until it was imported: many only ask whether it is installed."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self.name = name
        self._then = then
        self._search = threading.local()

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of ``name``, whose loader tells us when it is done."""
        if fullname != self.name or getattr(self._search, "is_under_way", False):
            return None
        self._search.is_under_way = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._search.is_under_way = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._imported)
        return spec

    def _imported(self) -> None:
        if self in sys.meta_path:  # else it was given up, or another thread was faster
            forget(self.name)
            self._then()


class _Loader(Loader):
    """The module's own loader, and one call more."""

    def __init__(self, loader: Any, then: Callable[[], None]) -> None:
        self._loader = loader
        self._then = then

    def __getattr__(self, name: str) -> Any:
        if name == "_loader":  # a copy under way has none yet
            raise AttributeError(name)
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave the making of the module to its loader."""
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Run the module with its own loader in place, then tell."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._then()
