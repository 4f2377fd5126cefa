"""Actions: Python functions that steps call, found by `module:function`."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import blake3

from maverick.dsl.suggest import nearest
from maverick.errors import StepFailed


class Action(NamedTuple):
    """A function, with what identifies it in keys: its source, or its name and version if it is built in."""

    name: str
    reference: str
    function: Callable[..., Any]
    identity: str
    file: str

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

    def in_folder(self, args: Sequence[object], kwargs: dict[str, Any], folder: str) -> dict[str, Any]:
        """*kwargs*, with *folder* as `cwd` if the function has a parameter of that name that is not given."""
        import inspect  # noqa: PLC0415

        try:
            signature = inspect.signature(self.function)
            given = signature.bind_partial(*args, **kwargs).arguments
        except (TypeError, ValueError):  # `check_arguments` says what is wrong.
            return kwargs
        return kwargs if "cwd" in given or "cwd" not in signature.parameters else {**kwargs, "cwd": folder}

    def check_arguments(self, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        """Refuse arguments that the function does not take.

        Raises:
            StepFailed: Says which, and what the function takes.
        """
        import inspect  # noqa: PLC0415

        try:
            signature = inspect.signature(self.function)
        except ValueError:  # Some functions written in C have none; the call itself will tell.
            return
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise StepFailed(f"action {self.name}{signature} cannot be called so: {error}") from None


def load_action(reference: str, *, name: str = "", version: str = "") -> Action:
    """The function `module:function`; with *version*, a built-in one.

    Raises:
        StepFailed: There is no such module or function, or the module cannot be imported; says why and where.
    """
    module_name, _, function_name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name and module_name.startswith(error.name)
        why = "there is no such module" if missing else f"importing it fails: {_where(error)}"
        raise StepFailed(f"cannot load action {reference!r}: {why}") from error
    except (Exception, SystemExit) as error:
        raise StepFailed(f"cannot load action {reference!r}: importing it fails: {_where(error)}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        near = nearest(function_name, public_names(module))
        raise StepFailed(f"cannot load action {reference!r}: {module_name} has no function {function_name!r}{near}")
    file = getattr(module, "__file__", None) or ""
    identity = f"{name}/{version}" if version else f"{reference} {_source_hash(function)}"
    return Action(name or reference, reference, function, identity, file)


def public_names(module: object) -> list[str]:
    """The names of a module's actions: its `__all__`, else its public functions that are defined there."""
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


def add_to_path(folder: str) -> None:
    """Let modules of *folder* (the project's root) be imported."""
    if folder not in sys.path:
        sys.path.insert(0, folder)
