"""What a step was given: the values of the names that its expressions read, as the run has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from maverick.dsl.catalog.references import expressions_in, path_text
from maverick.dsl.paths import ROOT, StepPath
from maverick.errors import MaverickError
from maverick.views.report.bounds import SHORT_BYTES, bounded
from maverick.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.dsl.expressions.expressions import NamePath
    from maverick.dsl.workflow.model import Step
    from maverick.views.run_page import RunPage

MOST_NAMES: Final = 20
_MOST_KEPT: Final = 200
"""Outputs that are held at once."""
_MISSING: Final = object()


class Readings:
    """Looks names up in a run. What was read once is kept: neighbours read the same."""

    def __init__(self, page: RunPage) -> None:
        self._page = page
        self._outputs: dict[str, Any] = {}

    def of(self, path: StepPath) -> list[dict[str, Any]]:
        """Give `{name, value, step}` of what the step at *path* reads and the run knows; `step` is
        the path of the step that gave it.
        """
        outlined = self._page.definition.find(path)
        if outlined is None:
            return []
        names = dict.fromkeys(_names_in(outlined.step))
        found = (self._read(path, name) for name in list(names)[:MOST_NAMES])
        return [reading for reading in found if reading is not None]

    def _read(self, path: StepPath, name: NamePath) -> dict[str, Any] | None:
        value, step = self._value(path, name)
        if value is _MISSING:
            return None
        shown = one_line(path_text(name))
        return {"name": shown, "value": bounded(value, SHORT_BYTES), "step": step}

    def _value(self, path: StepPath, name: NamePath) -> tuple[Any, str | None]:
        around = list(path.ancestors())
        match name:
            case ("inputs", *rest) if rest and not self._is_called(around):
                return _into(self._page.inputs, rest), None
            case ("item", *rest):
                return _into(self._item(path), rest), None
            case ("index",):
                iteration = _iteration(path)
                return (_MISSING if iteration is None else iteration[1]), None
            case ("steps", str() as other, *rest):
                found = self._find_step(other, around)
                if found is None or rest[:1] != ["output"]:
                    return _MISSING, None
                return _into(self._output(found), rest[1:]), found
            case _:
                return _MISSING, None

    def _is_called(self, around: list[StepPath]) -> bool:
        """Whether one of the steps *around* calls a workflow, whose inputs are not recorded."""
        return any(self._calls(path) for path in around)

    def _calls(self, path: StepPath) -> bool:
        outlined = self._page.definition.find(path)
        return outlined is not None and outlined.step.kind == "subworkflow"

    def _find_step(self, name: str, around: list[StepPath]) -> str | None:
        """Find the step *name* that a step sees: beside it, else beside what is around it, up to
        where its workflow begins.
        """
        for outer in reversed([ROOT, *around]):
            path = outer.child(name)
            if self._output(path) is not _MISSING:
                return path
            if outer and self._calls(outer):
                return None
        return None

    def _item(self, path: StepPath) -> Any:
        iteration = _iteration(path)
        if iteration is None:
            return _MISSING
        loop, position = iteration
        items = self._output(f"{loop}?for_each")
        return items[position] if isinstance(items, list) and position < len(items) else _MISSING

    def _output(self, name: str) -> Any:
        if name not in self._outputs:
            if len(self._outputs) >= _MOST_KEPT:
                self._outputs.clear()
            try:
                self._outputs[name] = self._page.tree.output_of(name)
            except MaverickError:
                self._outputs[name] = _MISSING
        return self._outputs[name]


def _iteration(path: StepPath) -> tuple[StepPath, int] | None:
    """Give the innermost loop around *path*, and the position in it, where it has one."""
    around = list(path.iterations())
    position = around[-1][1].position if around else None
    return None if position is None else (around[-1][0], position)


def _names_in(step: Step) -> Iterator[NamePath]:
    for name in step.__dataclass_fields__:
        for expression in expressions_in(getattr(step, name)):
            yield from expression.reads


def _into(value: Any, rest: list[str | int]) -> Any:
    for part in rest:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):  # Null, in the language.
            return _MISSING
    return value
