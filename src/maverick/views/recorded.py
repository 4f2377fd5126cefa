"""The workflows of a run as they were when it was recorded, whatever stands in the files now."""

from __future__ import annotations

import posixpath
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from maverick.dsl.catalog.outline import Outlined, outline
from maverick.dsl.catalog.workflow_files import declared_name, is_path, same_name
from maverick.dsl.paths import StepPath
from maverick.errors import WorkflowInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.dsl.workflow.model import Workflow


class RecordedWorkflows:
    """Finds what a workflow of a run calls, as a catalog does, among what the run recorded."""

    def __init__(self, definition: Mapping[str, str]) -> None:
        """*definition* is the texts, by file."""
        self._texts = dict(definition)

    def workflow(self, file: str) -> Workflow:
        """Give the workflow of *file*, which is one of the run's.

        Raises:
            WorkflowInvalid: This version cannot read it.
        """
        return _parse(self._texts[file], file)

    def find_workflow(self, name: str, from_file: str = "") -> Workflow | None:
        """Give the workflow that *name* means in the file *from_file*; None where the run has none.

        Raises:
            WorkflowInvalid: This version cannot read it.
        """
        file = self._file_of(name, from_file)
        return None if file is None else self.workflow(file)

    def _file_of(self, name: str, from_file: str) -> str | None:
        if is_path(name):
            beside = posixpath.normpath(PurePosixPath(from_file).parent / name)
            return next((file for file in (beside, name) if file in self._texts), None)
        alike = [
            file
            for file, text in self._texts.items()
            if same_name(declared_name(text) or PurePosixPath(file).stem, name)
        ]
        # A project's own goes before what ships, as when it ran.
        return min(alike, key=lambda file: file.startswith("<"), default=None)


class RecordedSteps:
    """The steps that a run may come to, by its recorded texts; none where these cannot be read."""

    def __init__(self, texts: Mapping[str, str], main: str) -> None:
        self._texts = texts
        self._main = main

    @cached_property
    def workflow(self) -> Workflow | None:
        """The run's own workflow; None where it has none, or this version cannot read it."""
        if self._main not in self._texts:
            return None
        try:
            return _parse(self._texts[self._main], self._main)
        except WorkflowInvalid:
            return None

    @cached_property
    def outlined(self) -> dict[str, Outlined]:
        """Each step by the pattern of its path, in the order of the file."""
        if self.workflow is None:
            return {}
        return outline(self.workflow, RecordedWorkflows(self._texts))

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where each of them stands in that order."""
        return {pattern: number for number, pattern in enumerate(self.outlined)}

    @cached_property
    def below(self) -> dict[str, list[str]]:
        """The patterns of the steps of each block, by the pattern of that."""
        below: dict[str, list[str]] = {}
        for pattern in self.outlined:
            below.setdefault(pattern.rpartition(".")[0], []).append(pattern)
        return below

    def find(self, path: str) -> Outlined | None:
        """Give the step at *path*; of an attempt at a validation, that."""
        pattern = StepPath(path).pattern
        return self.outlined.get(pattern) or self.outlined.get(pattern.removesuffix("[]"))


def _parse(text: str, file: str) -> Workflow:
    from maverick.dsl.serialization.loader import parse_workflow  # noqa: PLC0415 - loads the YAML parser

    return parse_workflow(text, file)
