"""When resuming is refused: finished steps would run again, or be left out, though nobody asked for
it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from maverick.dsl.catalog.outline import Outlined, outline
from maverick.dsl.engine.blocks import follows, is_chained
from maverick.dsl.paths import StepPath
from maverick.dsl.workflow.model import SubworkflowStep, ValidateStep, Workflow
from maverick.dsl.workflow.outcome import in_words
from maverick.errors import StepsDiffer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.engine.blocks import Block, Unfinished
    from maverick.dsl.engine.plan import Plan
    from maverick.dsl.journal.recall import Recall


class Refusals:
    """What a checking walk objects to: it raises StepsDiffer; one that plans notes it and goes
    on.
    """

    def __init__(self, recall: Recall, workflow: Workflow, catalog: Catalog, plan: Plan) -> None:
        self._recall = recall
        self._workflow = workflow
        self._catalog = catalog
        self._plan = plan

    def changed(self, path: StepPath, parts: Collection[str]) -> None:
        """The finished step at *path* would run again: *parts* of its key changed."""
        self._refuse(
            f"step {path} has finished, and its {in_words(parts)} changed since: --rerun runs it "
            "and what follows again, --as-recorded keeps what is recorded"
        )

    def left_out(self, path: StepPath, what: str, left_out: Iterable[str], block: Block) -> None:
        """*what* of the step at *path* comes to something else now: steps at or below *left_out*
        would not count.
        """
        for ancestor in left_out:
            for step in self._recall.records.finished(ancestor, block.asked):
                self._refuse(
                    f"step {step} has finished, and `{what}` of {path} gives something else now: "
                    "--rerun goes by that, --as-recorded keeps what is recorded"
                )
                return

    def behind(self, unfinished: Unfinished, following: Iterable[str], block: Block) -> None:
        """Steps at or below *following* would run again, because the *unfinished* one before them
        has to run.
        """
        for ancestor in following:
            for step in self._recall.records.finished(ancestor, block.asked):
                if self._runs_again(StepPath(step), ancestor):
                    self._refuse(
                        f"step {step} has finished, but {unfinished.path} before it has to run: "
                        "--rerun runs both, --as-recorded keeps what is recorded"
                    )
                    return

    def _refuse(self, why: str) -> None:
        if not self._plan.wanted:
            raise StepsDiffer(why)
        self._plan.refused.append(why)

    def _runs_again(self, path: StepPath, ancestor: str) -> bool:
        """Whether the finished step at *path*, at or below *ancestor*, runs again once *ancestor*
        is made to run.

        Not if it, or a step around it, stands outside the chain, and not if the workflow has it no
        more. What a sub-workflow holds whose name only a run knows is taken to run.
        """
        pattern = path.pattern
        around = [each.pattern for each in (*path.ancestors(), path) if len(each) >= len(ancestor)]
        known = [each for each in around if each in self._outline]
        if not known:
            return False
        *outer, nearest = (self._outline[each].step for each in known)
        if not all(map(follows, outer)):
            return False
        if known[-1] == pattern:
            return is_chained(nearest)
        attempt = isinstance(nearest, ValidateStep) and pattern == f"{known[-1]}[]"
        return follows(nearest) and (attempt or isinstance(nearest, SubworkflowStep))

    @cached_property
    def _outline(self) -> dict[str, Outlined]:
        return outline(self._workflow, self._catalog)
