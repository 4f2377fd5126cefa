"""Where a walk is: the block of steps it goes through, and what holds for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from maverick.errors import StepFailed, StepTimeout

if TYPE_CHECKING:
    from maverick.dsl.model import Step
    from maverick.dsl.scope import Frame


class Unfinished(Exception):
    """No error: the checking walk has come to what remains to be done, the step at `path`."""

    def __init__(self, path: str, *, chained: bool) -> None:
        self.path = path
        self.chained = chained
        """Whether what stands behind it has to run, too."""
        super().__init__(path)

    def view(self) -> Mapping[str, object]:
        """What `steps.NAME` is meanwhile: reading it raises this."""
        return _Unread(self)


class _Unread(Mapping[str, object]):
    def __init__(self, unfinished: Unfinished) -> None:
        self._unfinished = unfinished

    def __getitem__(self, name: str) -> object:
        raise self._unfinished

    def __iter__(self) -> Iterator[str]:
        raise self._unfinished

    def __len__(self) -> int:
        raise self._unfinished


def is_chained(step: Step) -> bool:
    """Whether the step's running makes the rest of its block run, and is made by what stands before it."""
    return not step.pure and not step.always_run


@dataclass(frozen=True, slots=True)
class Place:
    """A step in a block: `scope` is the block's or the iteration's own, `chain` is what iterations in a row share."""

    scope: object
    chain: object
    step: str


Lineage: TypeAlias = tuple[Place, ...]
"""Where a step stands, from the workflow down."""


Repeats: TypeAlias = Callable[[StepFailed], bool]


def _never(_: StepFailed) -> bool:
    return False


@dataclass(slots=True)
class Block:
    """A list of steps that is being walked."""

    frame: Frame
    file: str
    """Of the workflow that is walked: relative references start at its folder."""
    newest: int = 0
    """The order of the latest record before here, of this block and those around it: older records are not reused,
    so that what follows a step that ran, now or in an earlier execution, runs."""
    asked: int = 0
    """As `newest`, and also behind what stands outside the chain: an older record that is not reused is one that
    somebody asked to run again."""
    always: bool = False
    """A step around it is marked `always_run`."""
    tolerant: bool = False
    """A step around it takes failures as outcomes: they are recorded and recalled like any."""
    repeats: Repeats = field(default=_never)
    """Whether a step around it, up to the one that takes failures as outcomes, is tried again after a failure."""
    deadline: float | None = None
    """On the monotonic clock, in seconds: of the steps around it that have a timeout."""
    attempt: Repeats = field(default=_never)
    """Whether the step of this block that is walked is tried again after a failure."""
    lineage: Lineage = ()
    """Of the step that this block is inside."""
    chain: object = field(default_factory=object)

    def inside(self, step: Step, frame: Frame, *, file: str = "", alone: bool = False) -> Block:
        """The block of the steps that *step* is made of; *alone*: whatever stands before it."""
        return Block(
            frame,
            file or self.file,
            newest=0 if alone or step.pure else self.newest,
            asked=self.asked,
            always=self.always or step.always_run,
            tolerant=self.tolerant or step.continue_on_error,
            repeats=self.attempt
            if step.continue_on_error
            else lambda error: self.attempt(error) or self.repeats(error),
            deadline=self.deadline,
            lineage=self.place_of(step),
        )

    def place_of(self, step: Step) -> Lineage:
        """Where *step* of this block stands."""
        return (*self.lineage, Place(self.frame.block, self.chain, step.name))

    def took(self, step: Step, order: int, *, asked: bool = False) -> None:
        """Note the latest record of *step* of this block; *asked*: see `Record`."""
        if is_chained(step):
            self.newest = max(self.newest, order)
        if asked or is_chained(step):
            self.asked = max(self.asked, order)

    def left(self, step: Step, inner: Block) -> None:
        """Note what *inner*, a block that *step* of this one is made of, took."""
        self.took(step, inner.newest)
        self.asked = max(self.asked, inner.asked)

    def seconds_left(self, own: float | None) -> float | None:
        """How long a step with a timeout of *own* may take; None is for ever.

        Raises:
            StepTimeout: The time of a step around it is over.
        """
        if self.deadline is None:
            return own
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise StepTimeout("the time that a step around it may take is over")
        return left if own is None else min(left, own)
