"""What expressions can read: a chain of blocks from the workflow down to the loop iteration at
hand.

A `Frame` is never changed after it was made, except that `set_step` publishes a finished step in
its block; reading and publishing may be done from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Protocol

from maverick.record import record

if TYPE_CHECKING:
    from pathlib import Path

_MISSING = object()


class Scope(Protocol):
    """What `evaluate` asks. Mappings on the way may load lazily; results are made plain."""

    def lookup(self, name: str) -> object:
        """The value of inputs, steps, item, index, parent, previous, env or run; null where there
        is none.
        """

    def glob(self, pattern: str) -> list[str]:
        """The project's paths that match *pattern*, sorted."""

    def exists(self, path: str) -> bool:
        """Whether the project has something at *path*."""


class Visible:
    """The finished steps of one block of the workflow, on top of those of the blocks around it."""

    __slots__ = ("_lock", "outer", "steps")

    def __init__(self, outer: Visible | None = None) -> None:
        self.outer = outer
        self.steps: Mapping[str, Mapping[str, object]] = {}
        self._lock = threading.Lock()

    def set(self, name: str, view: Mapping[str, object]) -> None:
        """Publish a step. Readers see the block before or after, never a mapping that changes under
        them.
        """
        with self._lock:
            self.steps = {**self.steps, name: view}

    def find(self, name: str) -> Mapping[str, object] | None:
        """The step called *name* in this block or the nearest one around it."""
        around: Visible | None = self
        while around is not None:
            if (view := around.steps.get(name)) is not None:
                return view
            around = around.outer
        return None

    def names(self) -> dict[str, None]:
        """All names that can be found, outermost block first, in the order in which the steps
        finished.
        """
        blocks = [self]
        while (outer := blocks[-1].outer) is not None:
            blocks.append(outer)
        return {name: None for block in reversed(blocks) for name in block.steps}


class Steps(Mapping[str, object]):
    """`steps` as an expression sees it: name -> mapping with `output` and `status`."""

    __slots__ = ("_visible",)

    def __init__(self, visible: Visible) -> None:
        self._visible = visible

    def __getitem__(self, name: str) -> object:
        if (view := self._visible.find(name)) is None:
            raise KeyError(name)
        return view

    def get(self, name: str, default: object = None) -> object:
        """The step's view, or *default*."""
        view = self._visible.find(name)
        return default if view is None else view

    def __iter__(self) -> Iterator[str]:
        return iter(self._visible.names())

    def __len__(self) -> int:
        return len(self._visible.names())


@record
class Frame:
    """A scope: what one block of a run can read.

    `run` holds id, attempt and idempotency_key; `project_root` is where `glob` and `exists` look.
    The views given to `set_step` are mappings with `output` and `status`.
    """

    inputs: Mapping[str, object]
    env: Mapping[str, str]
    run: Mapping[str, object]
    project_root: Path
    visible: Visible = field(default_factory=Visible, repr=False)
    loop: Mapping[str, object] | None = None

    def lookup(self, name: str) -> object:
        """The value of a name; null for one that this scope does not have, such as `item` outside a
        loop.
        """
        match name:
            case "inputs":
                return self.inputs
            case "steps":
                return Steps(self.visible)
            case "env":
                return self.env
            case "run":
                return self.run
            case "item" | "index" | "parent" | "previous":
                return None if self.loop is None else self.loop[name]
            case _:
                return None

    def child(self, *, item: object = _MISSING, index: int | None = None) -> Frame:
        """The scope of a block inside this one; with *item* or *index*, of a loop's iteration.

        In an iteration `parent` is the `{item, index, parent, previous}` of the loop around it, or
        null.
        """
        loop = self.loop
        if item is not _MISSING or index is not None:
            loop = {
                "item": None if item is _MISSING else item,
                "index": index,
                "parent": self.loop,
                "previous": None,
            }
        return replace(self, visible=Visible(self.visible), loop=loop)

    def after(self, steps: Mapping[str, Mapping[str, object]]) -> Frame:
        """The scope of an iteration that follows one with *steps*: they are its `previous`."""
        return replace(self, loop={**(self.loop or {}), "previous": steps})

    def for_workflow(self, inputs: Mapping[str, object]) -> Frame:
        """The scope of a sub-workflow: it sees its own inputs, no step and no loop of the
        caller.
        """
        return replace(self, inputs=inputs, visible=Visible(), loop=None)

    def within(self, folder: Path) -> Frame:
        """The same scope for steps that run in *folder* as if it were the project's root."""
        return replace(self, project_root=folder)

    def with_run(self, **changes: object) -> Frame:
        """The same block with other names in `run`, such as those of an attempt at a step."""
        return replace(self, run={**self.run, **changes})

    def set_step(self, name: str, view: Mapping[str, object]) -> None:
        """Publish a finished step under its name to this block and the blocks inside it."""
        self.visible.set(name, view)

    def glob(self, pattern: str) -> list[str]:
        """The project's paths that match *pattern*: see `project_paths.glob`."""
        from maverick.dsl.expressions.project_paths import glob  # noqa: PLC0415 - few expressions look at files

        return glob(self.project_root, pattern)

    def exists(self, path: str) -> bool:
        from maverick.dsl.expressions.project_paths import exists  # noqa: PLC0415

        return exists(self.project_root, path)
