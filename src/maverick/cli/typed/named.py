"""What `[RUN] [STEP]` of a command line names: a checkpoint, and perhaps a step in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from maverick.dsl.journal.tree import RunTree, step_place
from maverick.dsl.paths import StepPath
from maverick.errors import NotFound, RevisionAmbiguous, StoreDamaged, UsageError
from maverick.visible import nearest, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from maverick.checkpoints import Checkpoint, Store
    from maverick.dsl.workflow.model import Step
    from maverick.views.run_page import RunPage

NEWEST: Final = "@latest"
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_-]*"
_POSITION: Final = r'\[(?:[0-9]+|"(?:[^"\\]|\\.)*")\]'
_STEP: Final = re.compile(rf"{_NAME}(?:{_POSITION}|\.{_NAME})*")
"""What can be the path of a step: names, positions, keys."""


def run_and_step(store: Store, words: Sequence[str]) -> tuple[Checkpoint, StepPath | None]:
    """Give the checkpoint and the step that *words*, `[RUN|REV] [STEP]`, name; without a word, the
    newest run.

    One word that names no run or revision is a step of the newest run. Whether a step that stands
    behind a run is there, is the caller's to find out.

    Raises:
        NotFound: there is no such run; of one word, no such step either. Or there is no run at all.
        RevisionAmbiguous: a word fits several runs, which the message lists.
        StoreDamaged: the run cannot be read.
        UsageError: there are more than two words.
    """
    given = [word for word in words if word]
    if len(given) > 2:
        raise UsageError(
            f"there are RUN and STEP, and no place for {one_line(given[2])}; a path with blanks in "
            "it is one word if it is quoted"
        )
    if len(given) > 1:
        return store.resolve(given[0]), StepPath(given[1])
    if not given:
        return store.resolve(NEWEST), None
    try:
        return store.resolve(given[0]), None
    except RevisionAmbiguous:
        raise
    except NotFound as error:
        if not may_be_step(given[0]):
            raise
        return _step_of_newest(store, StepPath(given[0]), str(error))


def may_be_step(word: str) -> bool:
    """Whether *word* is formed as the path of a step; a key in it may hold any sign."""
    return _STEP.fullmatch(word) is not None


def no_step(page: RunPage, step: str) -> NotFound:
    """Give the error that says that the run has no such *step*, and which one is near."""
    known = [str(row.path) for row in page.top.rows()]
    return NotFound(f"{page.run} has no step {one_line(step)}{nearest(step, known)}")


def _step_of_newest(store: Store, step: StepPath, no_run: str) -> tuple[Checkpoint, StepPath]:
    """Give *step* in the newest run; *no_run* says that it is no run."""
    newest = store.resolve(NEWEST)
    tree = RunTree(store.snapshot(newest))
    if _is_recorded(tree, step) or _runs_now(store, newest.run, step):
        return newest, step
    known = {*tree.steps, *tree.begun}
    if any(name.is_within(step) for name in known) or _may_come(tree, step):
        return newest, step
    hint = nearest(step, known)
    raise NotFound(f"{no_run}; nor has {newest.run}, the newest run, a step {step}{hint}")


def _is_recorded(tree: RunTree, step: StepPath) -> bool:
    return tree.snapshot.find(step_place(step)) is not None or tree.facts_entry(step) is not None


def _runs_now(store: Store, run: str, step: StepPath) -> bool:
    """Whether *step*, of which nothing may be saved yet, or one below it runs."""
    running = store.owner_note(run).get("running")
    return isinstance(running, list) and any(
        isinstance(row, dict) and StepPath(row.get("step", "")).is_within(step) for row in running
    )


def _may_come(tree: RunTree, step: StepPath) -> bool:
    """Whether all names of *step* are names of steps in the run's definition."""
    from maverick.dsl.serialization.loader import check_workflow  # noqa: PLC0415 - loads the YAML parser

    try:
        texts = tree.definition
    except StoreDamaged:
        return False
    drafts = [check_workflow(text, file).draft for file, text in texts.items()]
    names = {name for draft in drafts if draft for name in _names(draft.steps)}
    return names.issuperset(re.sub(_POSITION, "", step).split("."))


def _names(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        yield step.name
        yield from _names(inner for _, inner in step.inside())
