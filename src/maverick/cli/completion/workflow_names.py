"""The workflows that can be named here, with their inputs and steps.

Names are read from the files without parsing them, inputs and steps when they are asked for. Both
are kept in the store's `cache` until a file has another time or size.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from maverick import __version__, library
from maverick.dsl.catalog.workflow_files import files_in, is_path, name_in, same_name
from maverick.owners import config_folder
from maverick.roots import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from maverick.project import Project

_FILE: Final = "completion.json"
_MOST_BYTES: Final = 8 << 20


class WorkflowNames:
    """What a project's workflows are called, and what they take."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._cache = project.store_folder / "cache" / _FILE
        self._rows: dict[str, dict[str, Any]] = self._load()
        self._changed = False

    def names(self) -> list[str]:
        """The names of all workflows, each once; of one name the nearest file counts."""
        seen: dict[str, str] = {}
        for _, row in self._files():
            seen.setdefault(row["name"].replace("-", "_"), row["name"])
        self._save()
        return sorted(seen.values())

    def inputs(self, workflow: str) -> list[dict[str, Any]]:
        """The inputs of *workflow* (a name, or a file): `{name, type, choices, about}`."""
        inputs: list[dict[str, Any]] = self._details(workflow).get("inputs", [])
        return inputs

    def steps(self, workflow: str) -> list[str]:
        """The steps of *workflow*, as the pattern of their paths."""
        steps: list[str] = self._details(workflow).get("steps", [])
        return steps

    def name(self, workflow: str) -> str:
        """The name of *workflow* (a name, or a file); empty where there is none."""
        name: str = self._details(workflow).get("name", "")
        return name

    def _files(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Every workflow file with what is known of it, in the order in which names are looked
        up.
        """
        own = config_folder(self._project.environment)
        folders = [
            self._project.root / FOLDER / "workflows",
            *([own / "workflows"] if own else []),
            library.WORKFLOWS,
            library.FRAGMENTS,
        ]
        for folder in folders:
            for path in sorted(files_in(folder)):
                row = self._row(path)
                if row is not None:
                    yield path, row

    def _row(self, path: Path) -> dict[str, Any] | None:
        try:
            stat = path.stat()
        except OSError:
            return None
        stamp = [stat.st_mtime_ns, stat.st_size]
        row = self._rows.get(str(path))
        if row is None or row.get("stamp") != stamp:
            row = {"stamp": stamp, "name": name_in(path)}
            self._rows[str(path)] = row
            self._changed = True
        return row

    def _details(self, workflow: str) -> dict[str, Any]:
        path = self._path_of(workflow)
        row = None if path is None else self._row(path)
        if path is None or row is None:
            return {}
        if "inputs" not in row:
            row.update(self._parse(path))
            self._changed = True
        self._save()
        return row

    def _path_of(self, workflow: str) -> Path | None:
        from pathlib import Path  # noqa: PLC0415 - the project has loaded it

        if is_path(workflow):
            path = Path(os.path.abspath(workflow))  # noqa: PTH100 - symbolic links stay
            return path if path.is_file() else None
        return next((path for path, row in self._files() if same_name(row["name"], workflow)), None)

    def _parse(self, path: Path) -> dict[str, Any]:
        """Read inputs and steps; of a file with problems, what could be read."""
        from maverick.dsl.catalog.outline import outline  # noqa: PLC0415 - once for each file
        from maverick.dsl.serialization.loader import check_workflow  # noqa: PLC0415
        from maverick.dsl.serialization.source_text import read_text  # noqa: PLC0415

        draft = check_workflow(read_text(path), str(path)).draft
        if draft is None:
            return {"inputs": [], "steps": []}
        inputs = [
            {
                "name": declared.name,
                "type": declared.type,
                "choices": [str(choice) for choice in declared.choices],
                "about": declared.description,
            }
            for declared in draft.inputs.values()
        ]
        return {"inputs": inputs, "steps": list(outline(draft, None))}

    def _load(self) -> dict[str, dict[str, Any]]:
        try:
            with self._cache.open("rb") as file:
                kept = json.loads(file.read(_MOST_BYTES))
            rows = kept["files"] if kept["version"] == __version__ else {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}  # It is not there, or was damaged: everything is read anew.
        is_ours = isinstance(rows, dict) and all(map(_is_row, rows.values()))
        return rows if is_ours else {}

    def _save(self) -> None:
        """Keep what was read, where there is a store; what cannot be kept is read again."""
        if not self._changed or not self._cache.parent.is_dir():
            return
        there = {name: row for name, row in self._rows.items() if os.path.lexists(name)}
        text = json.dumps({"version": __version__, "files": there})
        temporary = self._cache.with_name(f"{_FILE}.{os.getpid()}")
        with suppress(OSError):
            temporary.write_text(text, "utf-8")
            temporary.replace(self._cache)
        self._changed = False


def _is_row(row: object) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        return False
    inputs, steps = row.get("inputs", []), row.get("steps", [])
    return (
        isinstance(inputs, list)
        and all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in inputs)
        and isinstance(steps, list)
        and all(isinstance(step, str) for step in steps)
    )
