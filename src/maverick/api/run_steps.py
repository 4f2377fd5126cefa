"""What is in a run, as mappings: its steps, its files; and what differs between two."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from maverick.api import html
from maverick.dsl.journal.tree import FILES, TreePath, artifacts_place
from maverick.errors import NoSuchName
from maverick.visible import duration, nearest, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from maverick.checkpoints import Entry, Store
    from maverick.dsl.journal.logs import Logged
    from maverick.dsl.journal.tree import RunTree
    from maverick.values import Value
    from maverick.views.comparing.run_comparison import Difference
    from maverick.views.run_page import AgentUse, RunPage, StepRow
    from maverick.views.step_page import Try


class Step:
    """A step of a run."""

    def __init__(self, store: Store, page: RunPage, row: StepRow) -> None:
        self._store = store
        self._page = page
        self._row = row

    def __repr__(self) -> str:
        took = "" if self.seconds is None else f" in {duration(self.seconds)}"
        return f"<Step {one_line(self.path)} {self.status}{took}>"

    @property
    def path(self) -> str:
        """Where it stands in the run: `work[0].implement`."""
        return str(self._row.path)

    @property
    def type(self) -> str:
        return self._row.type

    @property
    def status(self) -> str:
        """`done`, `failed`, `skipped`, `running`, `waiting` or `pending`."""
        return self._row.status

    @property
    def label(self) -> str | None:
        """The label of the checkpoint that it made."""
        return self._row.label

    @property
    def started(self) -> datetime | None:
        """When it began, in UTC."""
        return None if self._row.started is None else moment(self._row.started)

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return self._row.seconds

    @property
    def attempts(self) -> int | None:
        """How many attempts it needed."""
        return self._row.attempts

    @property
    def error(self) -> str | None:
        """Why it failed, or did not come to its end."""
        return self._row.error

    @property
    def agent(self) -> AgentUse | None:
        """Who played its agent, and what that cost."""
        return self._row.agent

    @property
    def output(self) -> Value:
        """What it gave; None where it recorded nothing."""
        from maverick.views.step_page import output_of  # noqa: PLC0415 - of one step

        return output_of(self._page, self._row)

    @property
    def because(self) -> str | None:
        """Why it ran when it last did."""
        from maverick.views.step_page import because  # noqa: PLC0415 - of one step

        return because(self._row)

    @property
    def log(self) -> str:
        """What its last attempt wrote to both streams, as it came; empty if it wrote nothing."""
        last = self._logs[-1].pieces if self._logs else ()
        return _decoded(b"".join(data for stream, data in last if stream != "prompt"))

    @property
    def prompt(self) -> str | None:
        """What its agent was given in the last attempt; None where none is kept."""
        data = self._logs[-1].stream("prompt") if self._logs else b""
        return _decoded(data) or None

    @property
    def tries(self) -> list[Try]:
        """Its attempts, as far as they are known."""
        from maverick.views.step_page import tries_of  # noqa: PLC0415 - of one step

        return tries_of(self._row, self._logs)

    @property
    def files(self) -> Files:
        """The files that it recorded as its artifacts."""
        return Files(self._page.tree, artifacts_place(self.path))

    @cached_property
    def _logs(self) -> list[Logged]:
        from maverick.views.step_page import logs_of  # noqa: PLC0415 - of one step

        return logs_of(self._store, self._page)(self._row.path)

    def row(self) -> tuple[str, ...]:
        """Give its line in a table, as HTML."""
        seconds = "" if self.seconds is None else duration(self.seconds)
        error = (self.error or "").strip().partition("\n")[0]
        cells = map(html.text, (self.type, seconds, self.attempts or "", error))
        return (html.text(self.path), html.status(self.status), *cells)

    def _repr_html_(self) -> str:
        seconds = "" if self.seconds is None else f" · {html.text(duration(self.seconds))}"
        title = f"{html.text(self.path)} · {html.status(self.status)}{seconds}"
        parts = [html.block(self.error)] if self.error else []
        if self.because:
            parts.append(f"<div>{html.text(f'because {self.because}')}</div>")
        parts.append(html.folded("output", html.value(self.output)))
        if self.log:
            parts.append(html.folded("log", html.block(self.log)))
        if self.prompt:
            parts.append(html.folded("prompt", html.block(self.prompt)))
        return html.page(title, *parts)


class Steps(Mapping[str, Step]):
    """The steps of a run by path, in the order of the workflow; those around others first."""

    def __init__(self, store: Store, page: RunPage) -> None:
        self._steps = {str(row.path): Step(store, page, row) for row in page.top.rows()}
        self._run = page.run

    def __getitem__(self, path: str) -> Step:
        """Give the step at *path*. Raises NoSuchName, which is a KeyError, too."""
        step = self._steps.get(path)
        if step is None:
            raise NoSuchName(f"{self._run} has no step {path!r}{nearest(str(path), self._steps)}")
        return step

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __repr__(self) -> str:
        return f"<Steps of {self._run}: {', '.join(map(repr, self._steps.values()))}>"

    def _repr_html_(self) -> str:
        heads = ("step", "status", "type", "time", "attempts", "error")
        rows = (step.row() for step in self._steps.values())
        return html.table(heads, rows, count=len(self))


class Files(Mapping[str, bytes]):
    """Files that are kept in a checkpoint, by path; each is read when it is asked for."""

    def __init__(self, tree: RunTree | None, place: TreePath = FILES) -> None:
        """*place* is where they stand in *tree*."""
        self._tree = tree
        self._place = place

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        if self._tree is None:
            return {}
        snapshot, place = self._tree.snapshot, self._place
        folder = snapshot.find(place)
        if folder is None or folder.kind != "tree":
            return {}
        return {
            "/".join(names[len(place) :]): entry
            for names, entry in snapshot.walk(place)
            if entry.kind == "blob"
        }

    def __getitem__(self, path: str) -> bytes:
        """Give the bytes of the file at *path*. Raises NoSuchName, which is a KeyError, too."""
        entry = self._entries.get(path)
        if entry is None or self._tree is None:
            raise NoSuchName(f"there is no file {path!r}{nearest(str(path), self._entries)}")
        return self._tree.snapshot.data_of(entry, path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Files: {', '.join(self._entries) or 'none'}>"

    def _repr_html_(self) -> str:
        rows = ((html.text(path), f"{entry.size:,}") for path, entry in self._entries.items())
        return html.table(("file", "bytes"), rows, count=len(self))


class Differences(list[dict[str, Any]]):
    """What differs from the run `old` to the run `new`, as `maverick diff --json` prints it."""

    def __init__(self, old: str, new: str, differences: Iterable[Difference]) -> None:
        super().__init__(row for difference in differences for row in difference.rows())
        self.old = old
        self.new = new

    def _repr_html_(self) -> str:
        rows = (
            (
                html.status(row["change"]),
                html.text(f"{row['path']} {row['part']}" if "part" in row else row["path"]),
                html.value(row["old"]),
                html.value(row["new"]),
            )
            for row in self
        )
        title = f"{html.text(self.old)} → {html.text(self.new)}"
        return html.page(title, html.table(("", "what", "old", "new"), rows, count=len(self)))


def moment(milliseconds: int) -> datetime:
    """Give a time since the epoch, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
