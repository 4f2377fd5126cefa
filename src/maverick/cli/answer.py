"""The JSON object that `run --json` answers with, whatever happens: also when no run came to be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from maverick.cli.render import json_text
from maverick.cli.streams import print_out

if TYPE_CHECKING:
    from maverick.dsl.outcome import Outcome

ANSWERING: Final = frozenset({"run", "fly", "refuel", "review"})
"""The commands that run workflows."""


@dataclass(slots=True)
class Answer:
    """What is known of the command's run so far. `arguments` are those of the program.

    With `one_line` the object is printed as the last of a stream of JSON lines. `out` is standard output while
    a run goes on.
    """

    arguments: list[str]
    workflow: str | None = None
    run: str | None = None
    one_line: bool = False
    out: IO[str] | None = None

    def succeed(self, outcome: Outcome, resume: str | None) -> None:
        """Print what a run came to. *resume* is the command that resumes it."""
        self._print(
            {
                "run": outcome.run,
                "resumed_from": outcome.resumed_from,
                "workflow": outcome.workflow,
                "status": outcome.status,
                "output": outcome.output,
                "error": outcome.error,
                "checkpoint": outcome.checkpoint or None,
                "resume": resume,
                "steps": asdict(outcome.counts),
                "rollback_errors": list(outcome.rollback_errors),
            }
        )

    def fail(self, error: str) -> None:
        """Print the object of a command that ended with *error* before a run came to an end, if it was asked for.

        `run` and `status` are null: nothing is claimed about a run.
        """
        if self._is_wanted():
            self._print(
                {
                    "run": self.run,
                    "resumed_from": None,
                    "workflow": self.workflow,
                    "status": None,
                    "output": None,
                    "error": error,
                    "checkpoint": None,
                    "resume": None,
                    "steps": {"ran": 0, "recalled": 0, "skipped": 0, "failed": 0},
                    "rollback_errors": [],
                }
            )

    def _is_wanted(self) -> bool:
        end = self.arguments.index("--") if "--" in self.arguments else None
        before = self.arguments[:end]
        return "--json" in before and before[0] in ANSWERING

    def _print(self, it: dict[str, Any]) -> None:
        print_out(json_text(it, indent=None if self.one_line else 2) + "\n", self.out)
