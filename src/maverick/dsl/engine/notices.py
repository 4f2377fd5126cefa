"""What a person has to know of a run that is done: what its workflows say under `notices`, and what
the engine itself found not to be so.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.expressions import evaluate
from maverick.dsl.paths import ROOT, StepPath, is_within
from maverick.errors import ExpressionFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from maverick.dsl.expressions.scope import Frame
    from maverick.dsl.processes.secrets import Scrubber
    from maverick.dsl.workflow.model import Workflow


class _Noted(NamedTuple):
    texts: tuple[str, ...]
    counts: bool
    """Whether they are of the run, too."""


class Notices:
    """The notices of a walk, by the path of what they are about. Threads may share it.

    What is walked again says anew what is so of it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[StepPath, _Noted] = {}

    def set(self, path: StepPath, texts: Sequence[str], *, counts: bool) -> None:
        """Note what is to be known of *path*; with *counts*, also of the run."""
        with self._lock:
            self._noted.pop(path, None)
            if texts:
                self._noted[path] = _Noted(tuple(texts), counts)

    def at(self, path: StepPath) -> tuple[str, ...]:
        """Give what is to be known of *path* itself."""
        return self._noted[path].texts if path in self._noted else ()

    def drop(self, path: StepPath) -> None:
        """Forget what was noted of *path* and of what is in it: another try takes its place."""
        with self._lock:
            for noted in [noted for noted in self._noted if is_within(noted, path)]:
                del self._noted[noted]

    def of_run(self) -> tuple[str, ...]:
        """Give the run's: first those of its workflow, then, each with its path, the others."""
        with self._lock:
            inner = (
                f"{path}: {text}"
                for path, noted in self._noted.items()
                if path != ROOT and noted.counts
                for text in noted.texts
            )
            return tuple(dict.fromkeys((*self.at(ROOT), *inner)))


def notices_of(workflow: Workflow, frame: Frame, scrub: Scrubber) -> list[str]:
    """Give the messages of those of the workflow's notices that hold now.

    A message that is a list is as many; one without text is none.
    One that cannot be evaluated is a notice itself: the run is done all the same.
    """
    texts: list[str] = []
    for notice in workflow.notices:
        try:
            if notice.when is None or evaluate.holds(
                notice.when, evaluate.condition(notice.when, frame)
            ):
                message = evaluate.render(notice.message, frame)
                texts += map(evaluate.as_text, message if isinstance(message, list) else [message])
        except ExpressionFailed as error:
            texts.append(f"a notice cannot be evaluated: {error}")
    return [scrub.text(text.strip()) for text in texts if text.strip()]
