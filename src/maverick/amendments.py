"""What is changed of a run by hand before it goes on: steps that run again, and steps that are skipped.

Each is written into the run before anything runs, so that whoever resumes it after a kill finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maverick.dsl.outline import outline, pattern_of
from maverick.dsl.suggest import nearest
from maverick.dsl.values import normalise
from maverick.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maverick.dsl.catalog import Catalog
    from maverick.dsl.journal import Journal
    from maverick.dsl.model import Workflow
    from maverick.dsl.secrets import Scrubber
    from maverick.selection import Request


def apply(journal: Journal, request: Request, workflow: Workflow, catalog: Catalog, scrub: Scrubber) -> list[str]:
    """Mark in *journal*, unwritten, what *request* asks for; give what the log is to say of it.

    Raises:
        NotFound: A step that is to run again has recorded nothing, or one that is to be skipped does not exist.
    """
    if not request.amends:
        return []
    known = outline(workflow, catalog)
    said = []
    for path, output in request.skip.items():
        if pattern_of(path) not in known:
            raise _no_step(path, "there is no step", journal, [*known])
        journal.set_output(path, scrub.value(normalise(output, f"steps.{path}.output")), skip=True)
        said.append(f"skipped {path} by hand")
    if request.from_step:
        if not journal.run_again(request.from_step):
            if pattern_of(request.from_step) in known:
                raise NotFound(
                    f"step {request.from_step} has recorded nothing in run {journal.tip.run}, so that it runs in any "
                    "case; leave out --from"
                )
            raise _no_step(request.from_step, "there is no step", journal, [*known])
        said.append(f"to run again from {request.from_step}")
    return said


def _no_step(path: str, what: str, journal: Journal, others: Iterable[str]) -> NotFound:
    names = dict.fromkeys([*journal.paths(), *others])
    hint = nearest(path, names) or f"; it has {', '.join(list(names)[:8])}{', …' if len(names) > 8 else ''}"
    return NotFound(f"{what} {path} in run {journal.tip.run}{hint}")
