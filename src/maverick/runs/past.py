"""How long the last run of a workflow took: what an estimate of a run that goes on is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from maverick.dsl.journal.tally import Standing
from maverick.dsl.journal.tree import RunTree
from maverick.errors import MaverickError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.project import Project

_LEAF: Final = {"seconds", "attempts"}
"""What is noted of a step that is not made of steps."""


class Past(NamedTuple):
    """How long a run took, and each step of it that is not made of steps; in seconds."""

    seconds: float
    steps: Mapping[str, float]


def load_past(project: Project, workflow: str, run: str) -> Past | None:
    """Give how long the newest run of *workflow* that is done took, but *run*; None if there is
    none, or nobody noted it.
    """
    try:
        store = project.open_store()
        done = (ref for ref in store.refs([]) if ref.group == workflow and ref.done)
        ref = next((ref for ref in done if ref.run != run), None)
        if ref is None:
            return None
        facts = RunTree(store.snapshot(store.checkpoint(ref.checkpoint))).facts
    except MaverickError:  # An estimate is worth no word about a store that somebody else damaged.
        return None
    steps = {
        path: float(noted["seconds"]) for path, noted in facts.items() if noted.keys() >= _LEAF
    }
    seconds = Standing.read(ref.summary).milliseconds(0) / 1000
    return Past(seconds, steps) if seconds > 0 and steps else None
