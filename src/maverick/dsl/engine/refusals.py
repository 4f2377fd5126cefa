"""When resuming is refused: finished steps would run again or be left out, and nobody asked."""

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
    from maverick.dsl.journal.records import Recall


class Refusals:
    """What a checking walk objects to: it raises StepsDiffer; one that plans notes it, goes on."""

    def __init__(self, recall: Recall, workflow: Workflow, catalog: Catalog, plan: Plan) -> None:
        self._recall = recall
        self._workflow = workflow
        self._catalog = catalog
        self._plan = plan

    def refuse_changed(self, path: StepPath, parts: Collection[str]) -> None:
        """Refuse that the finished step at *path* runs again because *parts* of its key changed."""
        self._refuse(
            f"step {path} has finished, and its {in_words(parts)} changed since: --rerun runs it "
            "and what follows again, --as-recorded keeps what is recorded"
        )

    def refuse_left_out(
        self, path: StepPath, what: str, left_out: Iterable[str], block: Block
    ) -> None:
        """Refuse that *what* of the step at *path* gives something else now.

        Finished steps at or below *left_out* would no longer count.
        """
        for ancestor in left_out:
            for step in self._recall.records.finished(ancestor, block.asked):
                self._refuse(
                    f"step {step} has finished, and `{what}` of {path} gives something else now: "
                    "--rerun goes by that, --as-recorded keeps what is recorded"
                )
                return

    def refuse_behind(self, unfinished: Unfinished, following: Iterable[str], block: Block) -> None:
        """Refuse that steps at or below *following* run again because *unfinished* has to run."""
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
        """Whether the finished step at *path* runs again once *ancestor*, at or above it, does.

        It does not if it, or a step around it, stands outside the chain, or if the workflow has it
        no more. What stands in a sub-workflow whose name only a run knows is taken to run.
        """
        pattern = path.pattern
        around = (*path.ancestors(), path)
        patterns = [place.pattern for place in around if len(place) >= len(ancestor)]
        outlined = [place for place in patterns if place in self._outline]
        if not outlined:
            return False
        *outer, nearest = (self._outline[place].step for place in outlined)
        if not all(map(follows, outer)):
            return False
        if outlined[-1] == pattern:
            return is_chained(nearest)
        attempt = isinstance(nearest, ValidateStep) and pattern == f"{outlined[-1]}[]"
        return follows(nearest) and (attempt or isinstance(nearest, SubworkflowStep))

    @cached_property
    def _outline(self) -> dict[str, Outlined]:
        return outline(self._workflow, self._catalog)
