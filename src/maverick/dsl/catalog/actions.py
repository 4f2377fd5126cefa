"""Actions: Python functions that steps call, found by `module:function`.

`guard_imports` keeps modules of a project from being imported that are not to be taken, whichever
module asks for them.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import blake3

from maverick.errors import StepFailed, UsageError
from maverick.visible import nearest

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from _typeshed import ReadableBuffer as Buffer


class _Guard:
    """Stands before the other finders, and shows *vet* what they find below *root*.

    A `MetaPathFinder` by what it has; the class of that name takes a millisecond to load.
    """

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


_MOST_EQUAL_SECONDS: Final = 2
"""How far apart two edits of a source may be that one bytecode passes for: Python compares whole
seconds, some file systems keep only even ones.
"""
_SITES: Final = {"site-packages", "dist-packages"}
_fresh_folders: set[str] = set()


class _FreshLoader(SourceFileLoader):
    """Takes no bytecode that may be of the source as it was before an edit, and leaves none."""

    def get_data(self, path: str) -> bytes:
        """Read a file. Raises OSError for bytecode that was written right after the source was."""
        if path != self.path and os.stat(path).st_mtime < self._settled():  # noqa: PTH116 - of each import
            raise OSError(f"{path} may be older than {self.path}")
        return super().get_data(path)

    def set_data(self, path: str, data: Buffer, *, _mode: int = 0o666) -> None:
        """Write bytecode, unless the source may be edited yet without looking newer."""
        if time.time() >= self._settled():
            super().set_data(path, data, _mode=_mode)

    def _settled(self) -> float:
        """When an edit looks newer than the source as it stands."""
        return os.stat(self.path).st_mtime + _MOST_EQUAL_SECONDS  # noqa: PTH116 - as above


def _find_freshly(folder: str) -> FileFinder:
    """Give what finds modules in *folder*, if that is of a project and of no installed package."""
    place = Path(folder)
    if not _SITES.isdisjoint(place.parts) or not any(
        str(around) in _fresh_folders for around in (place, *place.parents)
    ):
        raise ImportError(f"{folder} is of no project")
    return FileFinder(
        folder,
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (_FreshLoader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )


def _import_freshly(folder: str) -> None:
    """Have no stale bytecode taken for modules in *folder*, a project's root, and below it."""
    if folder in _fresh_folders:
        return
    if not _fresh_folders:
        sys.path_hooks.insert(0, _find_freshly)
    _fresh_folders.add(folder)
    for known in list(sys.path_importer_cache):
        if known == folder or known.startswith(f"{folder}{os.sep}"):
            sys.path_importer_cache.pop(known, None)


class Action(NamedTuple):
    """A function, with what identifies it in keys: its source, or its name and version if it is
    built in.
    """

    name: str
    reference: str
    function: Callable[..., Any]
    identity: str
    file: str

    @property
    def root(self) -> str:
        """The folder that its module was imported from; empty if it is built in."""
        module = self.reference.partition(":")[0]
        return "" if module.startswith("maverick.") else _root_of_file(module, self.file)

    @property
    def is_async(self) -> bool:
        """Whether calling it gives a coroutine."""
        import inspect  # noqa: PLC0415 - dataclasses have loaded it anyway

        return inspect.iscoroutinefunction(self.function)

    def accepts(self, name: str) -> bool:
        """Whether the function takes an argument of that name."""
        import inspect  # noqa: PLC0415

        parameters = inspect.signature(self.function).parameters.values()
        return any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters)

    def takes(self, args: Sequence[object], kwargs: Mapping[str, object]) -> bool:
        """Whether the function can be called so; of one that does not say what it takes, yes."""
        import inspect  # noqa: PLC0415

        try:
            inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError:
            return False
        except ValueError:  # Some functions written in C have no signature.
            return True
        return True

    def in_folder(
        self, args: Sequence[object], kwargs: dict[str, Any], folder: str
    ) -> dict[str, Any]:
        """*kwargs*, with *folder* as `cwd` if the function has a parameter of that name that is not
        given.
        """
        import inspect  # noqa: PLC0415

        try:
            signature = inspect.signature(self.function)
            given = signature.bind_partial(*args, **kwargs).arguments
        except (TypeError, ValueError):  # `check_arguments` says what is wrong.
            return kwargs
        return (
            kwargs
            if "cwd" in given or "cwd" not in signature.parameters
            else {**kwargs, "cwd": folder}
        )

    def check_arguments(self, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        """Refuse arguments that the function does not take.

        Raises:
            StepFailed: Says which, and what the function takes.
        """
        wrong = self.wrong_arguments(args, kwargs)
        if wrong:
            raise StepFailed("; ".join(message for _, message in wrong))

    def wrong_arguments(
        self, args: Sequence[object] | None, kwargs: Mapping[str, object] | None
    ) -> list[tuple[str, str]]:
        """What is wrong with calling the function so: the name of an argument, empty for all of
        them, and why.

        Those that are not known yet are None. Only how many there are and how they are called is
        looked at.
        """
        import inspect  # noqa: PLC0415

        try:
            signature = inspect.signature(self.function)
        except ValueError:  # Some functions written in C have none; the call itself will tell.
            return []
        parameters = signature.parameters.values()
        named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
        unknown = [name for name in kwargs or () if name not in named and not anything]
        wrong = [(name, f"it has no parameter `{name}`{nearest(name, named)}") for name in unknown]
        if not wrong:
            try:
                if args is not None and kwargs is not None:
                    signature.bind(*args, **kwargs)
                elif args is not None:
                    signature.bind_partial(*args)
            except TypeError as error:
                wrong = [("", str(error))]
        return [
            (name, f"action {self.name}{signature} cannot be called so: {why}")
            for name, why in wrong
        ]


def load_action(
    reference: str, *, name: str = "", version: str = "", root: Path | None = None
) -> Action:
    """The function `module:function`; with *version*, a built-in one; *root* is that of the project
    it may be in.

    Raises:
        StepFailed: There is no such module or function, or the module cannot be imported; says why
            and where.
    """
    module_name, _, function_name = reference.partition(":")
    try:
        if root is not None:
            check_hidden(module_name, root)
        module = importlib.import_module(module_name)
    except StepFailed as error:
        raise StepFailed(f"cannot load action {reference!r}: {error}") from None
    except ImportError as error:
        missing = (
            isinstance(error, ModuleNotFoundError)
            and error.name
            and module_name.startswith(error.name)
        )
        why = "there is no such module" if missing else f"importing it fails: {_where(error)}"
        raise StepFailed(f"cannot load action {reference!r}: {why}") from error
    except UsageError:  # The module is not to be taken.
        raise
    except (Exception, SystemExit) as error:
        raise StepFailed(
            f"cannot load action {reference!r}: importing it fails: {_where(error)}"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        near = nearest(function_name, public_names(module))
        raise StepFailed(
            f"cannot load action {reference!r}: {module_name} has no function "
            f"{function_name!r}{near}"
        )
    file = getattr(module, "__file__", None) or ""
    identity = f"{name}/{version}" if version else f"{reference} {_source_hash(function)}"
    return Action(name or reference, reference, function, identity, file)


def stand_in_action(name: str, function: Callable[..., Any]) -> Action:
    """Give the action *name* that *function* stands in for. Whatever it does, its key is one."""
    code = getattr(function, "__code__", None)
    return Action(name, "", function, f"stand-in {name}", code.co_filename if code else "")


def public_names(module: object) -> list[str]:
    """The names of a module's actions: its `__all__`, else its public functions that are defined
    there.
    """
    if (named := getattr(module, "__all__", None)) is not None:
        return sorted(named)
    return sorted(
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and callable(thing)
        and not isinstance(thing, type)
        and getattr(thing, "__module__", None) == getattr(module, "__name__", None)
    )


def _source_hash(function: Callable[..., Any]) -> str:
    """Of the function's text (its decorators included); of its code where there is no text."""
    import inspect  # noqa: PLC0415

    try:
        source = inspect.getsource(inspect.unwrap(function)).encode()
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        source = code.co_code + repr(code.co_consts).encode() if code else repr(function).encode()
    return blake3.blake3(source).hexdigest()[:20]


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    place = f" ({last.filename}:{last.lineno})" if last and "importlib" not in last.filename else ""
    return f"{type(error).__name__}: {error}{place}"


def import_actions(module: str, root: Path) -> object:
    """Import a module that maverick.yaml names under `actions:`, of the project at *root*.

    Raises:
        StepFailed: It cannot be imported; says why.
        UsageError: It is not to be taken.
    """
    try:
        check_hidden(module, root)
        return importlib.import_module(module)
    except UsageError:  # It is not to be taken.
        raise
    except (Exception, SystemExit) as error:
        why = str(error) if isinstance(error, StepFailed) else f"{type(error).__name__}: {error}"
        raise StepFailed(
            f"cannot import {module!r}, which maverick.yaml names under `actions:`: {why}"
        ) from error


_roots: list[str] = []
"""The projects of this process that were added to sys.path, the one at hand first."""
_changing_path = threading.Lock()


def add_to_path(folder: str) -> None:
    """Let modules of *folder* (the project's root) be imported.

    It comes last: no script of a project (`random.py`, `copy.py`) is taken for a module of the
    standard library, or of a package, that maverick has not imported yet. Modules of another
    project of this process are forgotten, so that one of the same name is imported from this one.
    """
    _import_freshly(folder)
    if folder in sys.path and (folder not in _roots or folder == _roots[0]):
        return
    with suppress(ImportError):
        # Several packages share it, so that it would give way to any module of that name.
        importlib.import_module("backports")
    with _changing_path:
        before = {root for root in _roots if root != folder}
        others = [root for root in _roots if root in before and root in sys.path]
        own = [entry for entry in sys.path if entry not in _roots]
        sys.path[:] = [*own, folder, *others]
        _roots[:] = [folder, *others]
        _forget(lambda name, module: _root_of(name, module) in before)


@contextmanager
def importing_from(folder: str) -> Iterator[None]:
    """Forget, when the block ends, what was imported from *folder* (a project's root) meanwhile.

    In a process that lives on: its files may change, and what is imported next has to be of them.
    """
    was_in_path, before = folder in sys.path, set(sys.modules)
    try:
        yield
    finally:
        with _changing_path:
            if not was_in_path:
                sys.path[:] = [entry for entry in sys.path if entry != folder]
                _roots[:] = [root for root in _roots if root != folder]
            _forget(lambda name, module: name not in before and _root_of(name, module) == folder)
        importlib.invalidate_caches()


def _forget(is_meant: Callable[[str, object], bool]) -> None:
    for name, module in list(sys.modules.items()):  # Another thread may import meanwhile.
        if is_meant(name, module):
            sys.modules.pop(name, None)


def _root_of(name: str, module: object) -> str:
    """The folder that a module was imported from as far as its name goes: `/p` for `a.b` in
    `/p/a/b.py`.
    """
    return _root_of_file(name, getattr(module, "__file__", None) or "")


def _root_of_file(name: str, file: str) -> str:
    depth = name.count(".") + (os.path.basename(file) == "__init__.py")  # noqa: PTH119 - of some hundred
    for _ in range(depth + 1):
        file = os.path.dirname(file)  # noqa: PTH120
    return file


def check_hidden(module: str, root: Path) -> None:
    """Refuse a module of the project at *root* in whose place Python would import another one.

    Raises:
        StepFailed: Names both.
    """
    parts = module.split(".")
    own = root.joinpath(*parts)
    file = next(
        (path for path in (own.with_name(f"{own.name}.py"), own / "__init__.py") if path.is_file()),
        None,
    )
    if file is None:
        return
    spec = _spec(parts[0])
    if spec is None or _is_inside(spec, root):
        return
    standard = parts[0] in sys.stdlib_module_names
    whose = (
        f"Python's own module {parts[0]}"
        if standard
        else f"the package {parts[0]} that is installed"
    )
    where = f" ({spec.origin})" if spec.has_location else ""
    raise StepFailed(
        f"{file.relative_to(root)} of the project is hidden by {whose}{where}; give it another name"
    )


def _spec(name: str) -> ModuleSpec | None:
    import importlib.util  # noqa: PLC0415 - only where an action is the project's

    try:
        return importlib.util.find_spec(name)
    except ValueError:  # A module that was made by hand, such as `__main__`.
        return None


def _is_inside(spec: ModuleSpec, root: Path) -> bool:
    """Whether the top-level module or package is, or is also, one that stands in *root* itself."""
    top = root.resolve()
    places = [
        *(spec.submodule_search_locations or ()),
        *([spec.origin] if spec.has_location and spec.origin else ()),
    ]
    return any(
        top in (Path(place).resolve().parent, Path(place).parent.resolve()) for place in places
    )
