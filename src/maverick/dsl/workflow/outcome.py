"""What became of a step or a run, as values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from maverick.dsl.paths import StepPath
from maverick.dsl.workflow.costs import Costs
from maverick.errors import StepFailed
from maverick.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable


Status = Literal["done", "failed", "skipped"]
RunStatus = Literal["running", "paused", "failed", "killed", "done"]
_FOLDER: Final = "folder"
"""The part of a key that no field of the step names: a step around it may."""
Key = Mapping[str, str]
"""What makes a record reusable: part of the step (`run`, `action`, `context`, …) -> hash of what it
was.
"""


def changed_parts(old: Key, new: Key) -> list[str]:
    """The names of the parts in which two keys differ, sorted."""
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def in_words(parts: Collection[str]) -> str:
    """Give *parts* of a key for people: ``field `run` ``, ``fields `env` and `run` ``; a folder is
    no field.
    """
    quoted = [f"`{part}`" for part in parts if part != _FOLDER]
    fields = f"field{'' if len(quoted) == 1 else 's'} {' and '.join(quoted)}" if quoted else ""
    return " and ".join(filter(None, [fields, _FOLDER if _FOLDER in parts else ""]))


class Record(NamedTuple):
    """The outcome of one finished step, or of a decision (`path?when`), as the store keeps it."""

    status: Status
    key: Key
    load: Callable[[], Value]
    """Reads the output (lazily, since most of a resumed run's outputs are never asked for)."""
    undoing: bool = False
    """Its rollback has begun."""
    by_hand: bool = False
    """Somebody set its output, or skipped the step."""
    order: int = 0
    """The later of two records of a run has the greater one. It stands among the facts, since it
    means nothing else.
    """
    asked: bool = False
    """It is there because somebody asked for it, by hand or by having the step run again: what it
    changes for the steps behind it was asked for, too. A fact.
    """


class Result:
    """What a step gave in this walk. The output is loaded when it is first asked for, and once."""

    __slots__ = ("_load", "_output", "facts", "status")

    def __init__(
        self, status: Status, load: Callable[[], Value], facts: Mapping[str, object] | None = None
    ) -> None:
        self.status: Status = status
        self.facts = facts or {}
        """What is to be noted of the step beside its output."""
        self._load: Callable[[], Value] | None = load
        self._output: Value = None

    @property
    def output(self) -> Value:
        if self._load is not None:
            self._output = self._load()
            self._load = None
        return self._output

    def view(self) -> Mapping[str, object]:
        """What `steps.NAME` is in expressions."""
        return _View(self)


def failed(error: StepFailed) -> Result:
    """The result of a step that failed, for those who go on."""
    return Result("failed", lambda: {"error": str(error)})


def error_of(result: Result) -> str:
    """The message of a failed result."""
    return str(result.output["error"]) if isinstance(result.output, dict) else str(result.output)


def did_not_pass(output: Value) -> str:
    """Say which stages of a `validate` step failed, by its *output*; empty where all passed."""
    stages = output.get("stages") if isinstance(output, dict) else None
    bad = [
        f"{stage.get('name')!s} (exit {stage.get('exit_code')!s})"
        for stage in (stages if isinstance(stages, list) else [])
        if isinstance(stage, dict) and not stage.get("success")
    ]
    return f"did not pass: {', '.join(bad)}" if bad else ""


class _View(Mapping[str, object]):
    __slots__ = ("_result",)

    def __init__(self, result: Result) -> None:
        self._result = result

    def __getitem__(self, name: str) -> object:
        if name == "status":
            return self._result.status
        if name == "output":
            return self._result.output
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(("output", "status"))

    def __len__(self) -> int:
        return 2


@dataclass(slots=True)
class Counts:
    """How many leaf steps took which way in one execution."""

    ran: int = 0
    recalled: int = 0
    skipped: int = 0
    failed: int = 0
    reused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one execution (a start or a resumption) of a run came to."""

    run: str
    workflow: str
    status: RunStatus
    output: Value = None
    error: str | None = None
    failed_at: str = ""
    """The path of the step that failed the run."""
    checkpoint: str = ""
    resumed_from: str | None = None
    counts: Counts = field(default_factory=Counts)
    rollback_errors: tuple[str, ...] = ()
    seconds: float = 0
    """How long the run was executed, all its executions together."""
    execution_seconds: float = 0
    """How long the last of them took."""
    costs: Costs = field(default_factory=Costs)
    """Of its agents, over all its executions."""
    notices: tuple[str, ...] = ()
    """What a person has to know of a run that is done."""


@dataclass(slots=True, eq=False)
class Undone:
    """What rolling back came to."""

    steps: list[StepPath] = field(default_factory=list)
    """Rolled back, in this order."""
    forgotten: list[StepPath] = field(default_factory=list)
    """They run again when the run is resumed. A step inside one of them is not named."""
    errors: list[str] = field(default_factory=list)

    def note_forgotten(self, paths: Iterable[StepPath]) -> None:
        every = dict.fromkeys((*self.forgotten, *paths))
        self.forgotten = [
            path for path in every if not any(ancestor in every for ancestor in path.ancestors())
        ]
