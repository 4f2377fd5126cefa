"""The shape of a run's trees: what stands where in its checkpoints (section 5.2 of docs/format.md).

The state holds `inputs`, `definition/<file>`, `steps/<step path>` and `steps/<step path>?<what>`
(a decision), `artifacts/<step path>`, at the end `output`, and where files are kept `workspace` and
`workspace-about`. The facts beside it hold `run`, `executions`, `steps/<step path>`, `asked`, `end`
and `notices`. No other file knows these names.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeGuard

from maverick.checkpoints import Content, Entry, blob, note, value
from maverick.dsl.journal.tally import Execution, read_executions
from maverick.dsl.paths import StepPath, is_decision
from maverick.errors import NotFound, StoreDamaged
from maverick.noted import amount, is_small, small_mapping, text_of, whole_number
from maverick.record import record

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint, Snapshot
    from maverick.dsl.workflow.outcome import Key, Record, Status
    from maverick.values import Value

TreePath: TypeAlias = tuple[str, ...]
Changes: TypeAlias = dict[TreePath, Content | None]
"""What is to stand at paths of a tree; None removes."""

INPUTS: Final = ("inputs",)
DEFINITION: Final = ("definition",)
"""The texts of the workflow and of all that it calls, by file."""
OUTPUT: Final = ("output",)
FILES: Final = ("workspace",)
"""The project's files, where a checkpoint keeps them."""
ABOUT_FILES: Final = ("workspace-about",)
"""How they were found."""
ARTIFACTS: Final = ("artifacts",)
"""The files that steps made, by step."""
RUN: Final = ("run",)
"""A fact: where and by which version the run was started."""
ASKED: Final = ("asked",)
"""A fact: the order before which everything may run again (`Records.asked`)."""
END: Final = ("end",)
"""A fact: which step failed the run, and its error."""
EXECUTIONS: Final = ("executions",)
"""A fact: when the run was executed, and how each execution ended (`journal.tally`)."""
NOTICES: Final = ("notices",)
"""A fact: what a person has to know of a run that is done."""
_DEFINITION: Final = DEFINITION[0]
_STEPS: Final = "steps"
_MAIN: Final = "main"
_STATUSES: Final = ("done", "failed", "skipped")
_ORDER: Final = re.compile("[0-9]{1,15}")


def step_place(name: str) -> TreePath:
    """Give where the step or decision *name* stands, in the state and in the facts."""
    return (_STEPS, name)


def step_at(place: TreePath) -> str | None:
    """The step or decision that stands at *place*, which may be of the state or of the facts."""
    return place[1] if place[:1] == (_STEPS,) and len(place) > 1 else None


def artifacts_place(path: str) -> TreePath:
    """Give where the files that the step at *path* made stand."""
    return (*ARTIFACTS, path)


def beginning(inputs: Mapping[str, Value], texts: Mapping[str, str], main: str) -> Changes:
    """Give what a run begins with: inputs and definition; *main* is its workflow's file."""
    files: Changes = {
        (_DEFINITION, file): blob(text.encode(), note=_MAIN if file == main else "")
        for file, text in texts.items()
    }
    return {INPUTS: value(dict(inputs)), **files}


def circumstances(fields: Mapping[str, Any]) -> Changes:
    """Give the fact that says where and by what a run was started."""
    return {RUN: note(json.dumps(dict(fields), sort_keys=True))}


def new_seed() -> str:
    """Make what tells a run with a given name from an earlier one: ids are not used twice, names
    may be.
    """
    return os.urandom(8).hex()


class StepNote(NamedTuple):
    """What the note beside a step's output says of it."""

    status: Status
    key: Key
    by_hand: bool = False
    undoing: bool = False

    @classmethod
    def of(cls, entry: Entry) -> StepNote:
        """Read the note of the step that stands at *entry*. Raises StoreDamaged if it is none."""
        if not entry.note:
            return cls("done", {})
        try:
            step = cls(**json.loads(entry.note))
        except (ValueError, TypeError, RecursionError) as error:
            raise StoreDamaged(f"the note of a recorded step cannot be read: {error}") from error
        if step.status not in _STATUSES or not (
            isinstance(step.key, dict) and all(map(_is_text, step.key.values()))
        ):
            raise StoreDamaged("the note of a recorded step has another shape than it should")
        return step

    def text(self) -> str:
        """Give the note as canonical JSON."""
        marks = {name: True for name in ("by_hand", "undoing") if getattr(self, name)}
        fields = {"key": dict(self.key), "status": self.status, **marks}
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def note_of(one: Record) -> str:
    """Give the note that stands beside the output of *one*."""
    return StepNote(one.status, one.key, one.by_hand, one.undoing).text()


@record
class RunTree:
    """What a checkpoint of a run holds. Everything raises StoreDamaged for what cannot be read."""

    snapshot: Snapshot

    @property
    def checkpoint(self) -> Checkpoint:
        return self.snapshot.checkpoint

    @property
    def inputs(self) -> dict[str, Value]:
        """The inputs as they were recorded."""
        recorded = self.snapshot.value(INPUTS)
        return recorded if isinstance(recorded, dict) else {}

    @property
    def output(self) -> Value:
        """What the run gave, if it is done."""
        return self.snapshot.value(OUTPUT)

    @property
    def definition(self) -> dict[str, str]:
        """The texts of the workflow and of all that it calls, by file."""
        try:
            return {
                file: self.snapshot.data_of(entry).decode()
                for file, entry in self._entries(_DEFINITION).items()
            }
        except UnicodeDecodeError as error:
            raise StoreDamaged(f"the recorded definition is no text: {error}") from error

    @property
    def main_file(self) -> str:
        """The file of the run's workflow; empty where it has none (`checkpoint create`)."""
        entries = self._entries(_DEFINITION)
        return next((file for file, entry in entries.items() if entry.note == _MAIN), "")

    @property
    def holds_files(self) -> bool:
        """Whether it keeps the project's files."""
        return self.snapshot.find(FILES) is not None

    @property
    def seed(self) -> str:
        """What tells a run with a given name from an earlier one of that name; empty where the name
        is an id.
        """
        return text_of(self._circumstances.get("seed"))

    def reseeded(self) -> Changes:
        """Give the fact that gives a fork with a given name a seed of its own."""
        return circumstances({**self._circumstances, "seed": new_seed()})

    @property
    def _circumstances(self) -> dict[str, Any]:
        entry = self.snapshot.find_fact(RUN)
        return read_facts(entry.note) if entry is not None else {}

    @property
    def asked(self) -> int:
        """The order before which everything may run again; 0 where nobody asked for that."""
        entry = self.snapshot.find_fact(ASKED)
        is_number = entry is not None and _ORDER.fullmatch(entry.note)
        return int(entry.note) if entry is not None and is_number else 0

    @property
    def executions(self) -> list[Execution]:
        """The executions of the run, in order; none of a run that an earlier version began."""
        entry = self.snapshot.find_fact(EXECUTIONS)
        return read_executions(entry.note) if entry is not None else []

    @property
    def end(self) -> Mapping[str, Value]:
        """The `step` that failed the run, and the `error`; empty where it did not fail."""
        end = self._fact_value(END)
        return end if isinstance(end, dict) else {}

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person has to know of the run, if it is done."""
        texts = self._fact_value(NOTICES) if self.checkpoint.kind == "final" else None
        return tuple(filter(_is_text, texts)) if isinstance(texts, list) else ()

    @property
    def entries(self) -> dict[str, Entry]:
        """What stands at the recorded steps and decisions, by name."""
        return self._entries(_STEPS)

    @property
    def steps(self) -> dict[StepPath, Entry]:
        """What stands at the recorded steps, by path."""
        return {
            StepPath(name): entry for name, entry in self.entries.items() if not is_decision(name)
        }

    def count_recorded(self) -> int:
        """Count the recorded steps and decisions. Reads none of them."""
        return self.snapshot.count((_STEPS,)) if self.snapshot.find((_STEPS,)) is not None else 0

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """What is noted of steps and decisions, by name: times, attempts and the like."""
        return {name: read_facts(entry.note) for name, entry in self._fact_entries().items()}

    @property
    def begun(self) -> list[StepPath]:
        """The paths of the steps of which something is noted, recorded or not."""
        return [StepPath(name) for name in self._fact_entries() if not is_decision(name)]

    def output_of(self, name: str) -> Value:
        """Give what the step or decision *name* recorded. Raises NotFound if that is nothing."""
        return self.snapshot.value(step_place(name))

    def facts_of(self, path: str) -> dict[str, Any]:
        """Give what is noted of the step at *path*; empty where nothing is."""
        entry = self.facts_entry(path)
        return read_facts(entry.note) if entry is not None else {}

    def facts_entry(self, path: str) -> Entry | None:
        """Give the entry of the facts of the step at *path*: a note, or a blob with its log."""
        return self.snapshot.find_fact(step_place(path)) if path else None

    def artifacts(self, path: str) -> Entry | None:
        """Give the files that the step at *path* recorded; None if it recorded none."""
        return self.snapshot.find(artifacts_place(path))

    def _fact_value(self, place: TreePath) -> Value:
        """Give the value of the fact at *place*; None where there is none."""
        try:
            return self.snapshot.fact_value(place)
        except NotFound:
            return None

    def _entries(self, folder: str) -> dict[str, Entry]:
        entry = self.snapshot.find((folder,))
        return self.snapshot.entries((folder,)) if entry is not None else {}

    def _fact_entries(self) -> dict[str, Entry]:
        entry = self.snapshot.find_fact((_STEPS,))
        return self.snapshot.facts((_STEPS,)) if entry is not None else {}


def read_facts(text: str) -> dict[str, Any]:
    """Give the facts in the note of a step; none where that is no mapping.

    A field that everybody knows is left out where it is not what it should be, and so is what is
    too deep to be written again.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(fields, dict):
        return {}
    return {name: own for name, own in fields.items() if _FIELDS.get(name, is_small)(own)}


def _is_number(own: object) -> bool:
    return whole_number(own) is not None


def _is_amount(own: object) -> bool:
    return amount(own) is not None


def _is_text(own: object) -> TypeGuard[str]:
    return isinstance(own, str)


def _is_mapping(own: object) -> bool:
    return small_mapping(own) is not None


def _is_list_of_mappings(own: object) -> bool:
    return isinstance(own, list) and is_small(own) and all(isinstance(row, dict) for row in own)


def _is_tally(own: object) -> bool:
    """Whether it is what a loop notes of its iterations (`IterationTally`)."""
    if not isinstance(own, dict) or not is_small(own):
        return False
    names = own.get("failed", []), own.get("names", [])
    counted = own.get("counts", {}), own.get("longest", {})
    return all(isinstance(every, list) and all(map(_is_text, every)) for every in names) and all(
        isinstance(every, dict) and all(map(_is_number, every.values())) for every in counted
    )


_FIELDS: Final[Mapping[str, Callable[[object], bool]]] = {
    **dict.fromkeys(("order", "generation", "failed_attempts", "again"), _is_number),
    **dict.fromkeys(("attempts", "tries", "execution", "started"), _is_number),
    "seconds": _is_amount,
    **dict.fromkeys(("type", "label", "status", "because", "reused_from"), _is_text),
    "agent": _is_mapping,
    "spent": _is_mapping,
    "changes": _is_list_of_mappings,
    "iterations": _is_tally,
}
