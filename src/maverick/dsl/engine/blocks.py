"""Where a walk is: the block of steps it goes through, and what holds for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from maverick.dsl.durations import Limit, shortest
from maverick.dsl.paths import StepPath
from maverick.dsl.workflow.model import LoopStep
from maverick.errors import StepFailed, StepTimeout

if TYPE_CHECKING:
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.workflow.model import Step


class Unfinished(Exception):
    """No error: the checking walk has come to what remains to be done, the step at `path`."""

    def __init__(self, path: StepPath, *, chained: bool) -> None:
        self.path = path
        self.chained = chained
        """Whether what stands behind it has to run, too."""
        super().__init__(path)

    def over(self, earlier: Unfinished | None) -> Unfinished:
        """This one, or *earlier*: the first that makes what stands behind it run, else the
        first.
        """
        return self if earlier is None or (self.chained and not earlier.chained) else earlier

    def view(self) -> Mapping[str, object]:
        """What `steps.NAME` is meanwhile: reading it raises this."""
        return _Unread(self)


class _Unread(Mapping[str, object]):
    def __init__(self, unfinished: Unfinished) -> None:
        self._unfinished = unfinished

    def __getitem__(self, name: str) -> object:
        raise self._again()

    def __iter__(self) -> Iterator[str]:
        raise self._again()

    def __len__(self) -> int:
        raise self._again()

    def _again(self) -> Unfinished:
        """One of its own for each reader, who may say that what stands behind it does not have to
        run.
        """
        return Unfinished(self._unfinished.path, chained=self._unfinished.chained)


def is_chained(step: Step) -> bool:
    """Whether the step's running makes the rest of its block run, and is made by what stands before
    it.
    """
    return not step.pure and not step.always_run


def follows(step: Step) -> bool:
    """Whether a step before *step* that runs makes all of it run."""
    return is_chained(step) and not (isinstance(step, LoopStep) and step.key is not None)


class Place(NamedTuple):
    """A step in a block, or in an iteration: where it and that stand."""

    step: str
    block: str
    chain: str
    """What iterations in a row share, and those side by side do not."""
    follows: bool
    """Whether a step before it in its chain that runs makes all of it run."""

    def shares_block(self, other: Place) -> bool:
        """Whether both stand in one block or iteration."""
        return (self.block, self.chain) == (other.block, other.chain)


Lineage: TypeAlias = tuple[Place, ...]
"""Where a step stands, from the workflow down."""


Repeats: TypeAlias = Callable[[StepFailed], bool]


def _never(_: StepFailed) -> bool:
    return False


class Deadline(NamedTuple):
    """When the timeout of a step is over, on the monotonic clock; how long it is, and whose."""

    moment: float
    seconds: float
    whose: str

    @classmethod
    def of(cls, limit: Limit | None, path: StepPath) -> Deadline | None:
        """That of a step at *path* which begins now."""
        if limit is None:
            return None
        return cls(time.monotonic() + limit.left, limit.seconds, limit.whose or f"the step {path}")

    def limit(self) -> Limit:
        """What is left of it."""
        return Limit(self.moment - time.monotonic(), self.seconds, self.whose)


@dataclass(slots=True, eq=False)
class Block:
    """A list of steps that is being walked."""

    frame: Frame
    file: str
    """Of the workflow that is walked: relative references start at its folder."""
    newest: int = 0
    """The order of the latest record before here, of this block and those around it: older records
    are not reused, so that what follows a step that ran, now or in an earlier execution, runs.
    """
    asked: int = 0
    """As `newest`, and also behind what stands outside the chain: an older record that is not
    reused is one that somebody asked to run again.
    """
    because: str = ""
    """In a plan: the step whose running makes the rest run."""
    always: bool = False
    """A step around it is marked `always_run`."""
    tolerant: bool = False
    """A step around it takes failures as outcomes: they are recorded and recalled like any."""
    repeats: Repeats = field(default=_never)
    """Whether a step around it, up to the one that takes failures as outcomes, is tried again after
    a failure.
    """
    deadline: Deadline | None = None
    """Of the steps around it that have a timeout, the first."""
    attempt: Repeats = field(default=_never)
    """Whether the step of this block that is walked is tried again after a failure."""
    lineage: Lineage = ()
    """Of the step that this block is inside."""
    chain: str = ""
    """See `Place`."""

    def inside(
        self,
        step: Step,
        path: StepPath,
        frame: Frame,
        *,
        file: str = "",
        alone: bool = False,
        chain: str = "",
    ) -> Block:
        """The block of the steps that *step*, at *path*, is made of; *alone*: whatever stands
        before it.

        *chain* is the iteration's path where iterations are no chain.
        """
        return Block(
            frame,
            file or self.file,
            newest=0 if alone or step.pure else self.newest,
            asked=self.asked,
            because=self.because,
            always=self.always or step.always_run,
            tolerant=self.tolerant or step.continue_on_error,
            repeats=self.attempt
            if step.continue_on_error
            else lambda error: self.attempt(error) or self.repeats(error),
            deadline=self.deadline,
            lineage=self.place_of(step, path),
            chain=chain or path,
        )

    def takes(self, step: Step, error: StepFailed) -> bool:
        """Whether the failure of *step* of this block is an outcome like any: the walk goes on with
        it.
        """
        return step.continue_on_error or self.tolerates(error)

    def tolerates(self, error: StepFailed) -> bool:
        """Whether a step around this block goes on after *error*."""
        return self.tolerant and not self.repeats(error)

    def place_of(self, step: Step, path: StepPath) -> Lineage:
        """Where *step* of this block, at *path*, stands."""
        return (*self.lineage, Place(path, path[: -len(step.name) - 1], self.chain, follows(step)))

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

    def limit(self, own: Limit | None) -> Limit | None:
        """How long a step with the timeout *own* may take; None is for ever.

        Raises:
            StepTimeout: The time of a step around it is over.
        """
        if self.deadline is None:
            return own
        around = self.deadline.limit()
        if around.left <= 0:
            raise StepTimeout(f"{around} is over")
        return shortest(own, around)
