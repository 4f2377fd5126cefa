"""Where a walk is: the block of steps it goes through, and what holds for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from maverick.dsl.durations import Limit, shortest
from maverick.dsl.paths import StepPath
from maverick.dsl.workflow.model import LoopStep
from maverick.dsl.workflow.outcome import Result
from maverick.errors import StepFailed, StepTimeout

if TYPE_CHECKING:
    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.workflow.model import Step


class Unfinished(Exception):
    """No error: the checking walk came to the step at `path`, which is to be done yet."""

    def __init__(self, path: StepPath, *, chained: bool) -> None:
        self.path = path
        self.chained = chained
        """Whether what stands behind it has to run, too."""
        super().__init__(path)

    def pick_first(self, earlier: Unfinished | None) -> Unfinished:
        """Give this one or *earlier*: the first that makes what follows run, else the first."""
        return self if earlier is None or (self.chained and not earlier.chained) else earlier

    def view(self) -> Mapping[str, object]:
        """Give what `steps.NAME` is meanwhile: reading it raises this."""
        return _Unread(self)


class _Unread(Mapping[str, object]):
    def __init__(self, unfinished: Unfinished) -> None:
        self._unfinished = unfinished

    def __getitem__(self, name: str) -> object:
        raise self._renewed()

    def __iter__(self) -> Iterator[str]:
        raise self._renewed()

    def __len__(self) -> int:
        raise self._renewed()

    def _renewed(self) -> Unfinished:
        """Give each reader a copy: it may note there that what follows need not run."""
        return Unfinished(self._unfinished.path, chained=self._unfinished.chained)


def is_chained(step: Step) -> bool:
    """Whether the rest of the block runs once *step* does, and *step* once one before it does."""
    return not step.pure and not step.always_run


def follows(step: Step) -> bool:
    """Whether a step before *step* that runs makes all of it run."""
    return is_chained(step) and not (isinstance(step, LoopStep) and step.key is not None)


class StepPosition(NamedTuple):
    """Where a step stands in its block or iteration."""

    step: str
    block: str
    chain: str
    """What iterations in a row share, and those side by side do not."""
    follows: bool
    """Whether a step before it in its chain that runs makes all of it run."""

    def shares_block(self, other: StepPosition) -> bool:
        """Whether both stand in one block or iteration."""
        return (self.block, self.chain) == (other.block, other.chain)


Lineage: TypeAlias = tuple[StepPosition, ...]
"""Where a step stands, from the workflow down."""


IsRepeated: TypeAlias = Callable[[StepFailed], bool]


def _never(_: StepFailed) -> bool:
    return False


class Deadline(NamedTuple):
    """When a step's timeout ends, on the monotonic clock, how long it is, and whose."""

    moment: float
    seconds: float
    whose: str

    @classmethod
    def of(cls, limit: Limit | None, path: StepPath) -> Deadline | None:
        """Give the deadline of a step at *path* that begins now."""
        if limit is None:
            return None
        return cls(time.monotonic() + limit.left, limit.seconds, limit.whose or f"the step {path}")

    def limit(self) -> Limit:
        return Limit(self.moment - time.monotonic(), self.seconds, self.whose)


@dataclass(slots=True, eq=False)
class Block:
    """A list of steps that is being walked."""

    frame: Frame
    file: str
    """Of the workflow that is walked: relative references start at its folder."""
    newest: int = 0
    """The order of the latest record before here, in this block and those around it.

    Older records are not reused: what follows a step that ran runs, too, in whichever execution.
    """
    ran: int = 0
    """How many steps of it have run in this walk, those inside them counted."""
    asked: int = 0
    """As `newest`, counting also what stands outside the chain and was asked to run again.

    If an older record is not reused, somebody asked for that.
    """
    because: str = ""
    """The step whose running makes the rest run: in a plan one that will, else one that ran."""
    always_run: bool = False
    """A step around it is marked `always_run`."""
    quiet: bool = False
    """A step around it is marked `notices: false`."""
    tolerant: bool = False
    """A step around it takes failures as outcomes: they are recorded and recalled like any."""
    is_repeated_around: IsRepeated = field(default=_never)
    """Whether a step around it, up to the tolerant one, is tried again after a failure."""
    deadline: Deadline | None = None
    """The earliest of those of the steps around it."""
    is_repeated: IsRepeated = field(default=_never)
    """Whether the step of this block that is walked is tried again after a failure."""
    lineage: Lineage = ()
    """Of the step that this block is inside."""
    chain: str = ""
    """See `StepPosition`."""

    def enter(
        self,
        step: Step,
        path: StepPath,
        frame: Frame,
        *,
        file: str = "",
        alone: bool = False,
        chain: str = "",
    ) -> Block:
        """Give the block of the steps that *step*, at *path*, is made of.

        With *alone*, what stands before it makes none of them run. *chain* is the iteration's path
        where iterations are no chain.
        """
        return Block(
            frame,
            file or self.file,
            newest=0 if alone or step.pure else self.newest,
            asked=self.asked,
            because=self.because,
            always_run=self.always_run or step.always_run,
            quiet=self.quiet or not step.notices,
            tolerant=self.tolerant or step.continue_on_error,
            is_repeated_around=self.is_repeated
            if step.continue_on_error
            else lambda error: self.is_repeated(error) or self.is_repeated_around(error),
            deadline=self.deadline,
            lineage=self.lineage_of(step, path),
            chain=chain or path,
        )

    def goes_on_after(self, step: Step, error: StepFailed) -> bool:
        """Whether the walk goes on after *step* of this block failed: its failure is an outcome."""
        return step.continue_on_error or self.tolerates(error)

    def tolerates(self, error: StepFailed) -> bool:
        """Whether a step around this block goes on after *error*."""
        return self.tolerant and not self.is_repeated_around(error)

    def lineage_of(self, step: Step, path: StepPath) -> Lineage:
        """Give where *step* of this block, at *path*, stands."""
        block = path[: -len(step.name) - 1]
        return (*self.lineage, StepPosition(path, block, self.chain, follows(step)))

    def note_record(self, step: Step, order: int, *, asked: bool = False) -> None:
        """Note the order of the record of *step*; *asked*: see `Record`."""
        if is_chained(step):
            self.newest = max(self.newest, order)
        if asked or is_chained(step):
            self.asked = max(self.asked, order)

    def note_run(self, step: Step, path: StepPath) -> None:
        """Note that *step*, at *path*, ran."""
        self.ran += 1
        if is_chained(step):
            self.because = self.because or path

    def leave(self, step: Step, inner: Block) -> None:
        """Note the records of *inner*, a block that *step* of this one is made of."""
        self.ran += inner.ran
        if is_chained(step):
            self.because = self.because or inner.because
        self.note_record(step, inner.newest)
        self.asked = max(self.asked, inner.asked)

    def limit(self, own: Limit | None) -> Limit | None:
        """Give how long a step with the timeout *own* may take; None is for ever.

        Raises:
            StepTimeout: The time of a step around it is over.
        """
        if self.deadline is None:
            return own
        around = self.deadline.limit()
        if around.left <= 0:
            raise StepTimeout(f"{around} is over")
        return shortest(own, around)


def last_of(steps: Sequence[Step], results: Sequence[Result]) -> Result:
    """Give the result of a block: that of its last step that is no checkpoint."""
    every = zip(steps, results, strict=True)
    working = [result for step, result in every if not step.is_checkpoint]
    return Result("done", lambda: working[-1].output if working else None)
