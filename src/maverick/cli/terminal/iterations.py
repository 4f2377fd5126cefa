"""Which iteration a step stands in, as those see it who watch a run: `2/3 Phase 2: Export`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from maverick.record import record

if TYPE_CHECKING:
    from maverick.dsl.events import Event


@record
class Iteration:
    """An iteration; `count` is None where nobody knows how many there will be."""

    number: int
    count: int | None
    name: str

    @property
    def text(self) -> str:
        """Give `2/3` and the item's name; of an only one the name."""
        number = (
            "" if self.count == 1 else f"{self.number}" + (f"/{self.count}" if self.count else "")
        )
        return " ".join(filter(None, (number, self.name)))


class Iterations:
    """The iterations that are at work, by their paths."""

    def __init__(self) -> None:
        self._iterations: dict[str, Iteration] = {}

    def note(self, event: Event) -> None:
        """Note an iteration that begins or ends."""
        if event.event == "iteration_started":
            match event.data:
                case {"number": int() as number, "count": int() | None as count, "name": str(name)}:
                    self._iterations[event.step] = Iteration(number, count, name)
        elif event.event == "iteration_ended":
            self._iterations.pop(event.step, None)

    def around(self, path: str) -> Iteration | None:
        """Give the innermost one that the step at *path* stands in."""
        end = path.rfind("]")
        while end >= 0 and self._iterations:
            iteration = self._iterations.get(path[: end + 1])
            if iteration is not None:
                return iteration
            end = path.rfind("]", 0, end)
        return None

    def text_around(self, path: str) -> str:
        """Give the text of that one, without a name that stands in *path* itself."""
        iteration = self.around(path)
        if iteration is None:
            return ""
        if iteration.name and f'["{iteration.name}"]' in path:
            iteration = replace(iteration, name="")
        return iteration.text
