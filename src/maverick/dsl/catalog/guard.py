"""Keeps modules of a project from being imported that are not to be taken, whichever module asks
for them.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class _Guard(MetaPathFinder):
    """Stands before the other finders, and shows *vet* what they find below *root*."""

    def __init__(self, root: str, vet: Callable[[str], None]) -> None:
        self.root = root
        self.vet = vet

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Give what the next finder finds that knows the module. Raises what *vet* does."""
        for finder in sys.meta_path:
            if finder is self or isinstance(finder, _Guard):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                for file in (spec.origin, spec.cached, *(spec.submodule_search_locations or ())):
                    if file and file.startswith(f"{self.root}{os.sep}"):
                        self.vet(file)
                return spec
        return None


def guard_imports(root: str, vet: Callable[[str], None]) -> None:
    """Show *vet* each file below *root* that an import is about to run; it raises to refuse it."""
    for finder in sys.meta_path:
        if isinstance(finder, _Guard) and finder.root == root:
            finder.vet = vet
            return
    importlib.invalidate_caches()
    sys.meta_path.insert(0, _Guard(root, vet))
