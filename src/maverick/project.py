"""A project: its folder, its configuration, its store, and what its workflows can name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from maverick import library, repositories, roots
from maverick.errors import MaverickError, NotFound, UsageError
from maverick.owners import config_folder, owners_of, ownership
from maverick.roots import FOLDER, Location, OwnersOf, Trust

if TYPE_CHECKING:
    from maverick.checkpoints import Overview, Store
    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.catalog.config import Config
    from maverick.dsl.standins import StandIns


class Project:
    """The project at `root`. Everything is read when it is first asked for.

    With *trust*, code of the project is taken only from those whom it names.
    """

    def __init__(
        self, root: Path, environment: Mapping[str, str], trust: Trust | None = None
    ) -> None:
        self.root = root
        self.environment = dict(environment)
        self.trust = trust
        self.stand_ins: StandIns | None = None
        """Who is asked in the place of agents and actions, in a test of a workflow."""

    @cached_property
    def config(self) -> Config:
        """What maverick.yaml says."""
        from maverick.dsl.catalog.config import load_config  # noqa: PLC0415 - not needed to look at runs

        return load_config(self.root)

    @property
    def step_environment(self) -> dict[str, str]:
        """What steps find in their environment; `gh` reads `github.repo` of maverick.yaml there."""
        repo = self.config.github_repo
        return {**self.environment, "GH_REPO": repo} if repo else self.environment

    @property
    def user_folder(self) -> Path | None:
        """Where the user's workflows are; None for a user without a home."""
        return config_folder(self.environment)

    @property
    def store_folder(self) -> Path:
        """Where the store is, or would be."""
        return self.root / FOLDER / "checkpoints"

    def open_store(self, *, trust_locks: bool | None = None) -> Store:
        """Open the project's store; *trust_locks* is as for `Store.open`.

        Raises:
            NotFound: Nothing was run here yet.
        """
        from maverick.checkpoints import Store  # noqa: PLC0415 - a listing does without

        with self._with_advice():
            return Store.open(self.store_folder, trust_locks=trust_locks)

    def open_overview(self) -> Overview:
        """Open the runs of the project's store, without what they hold. Raises as `open_store`."""
        from maverick.checkpoints import Overview  # noqa: PLC0415

        with self._with_advice():
            return Overview(self.store_folder)

    @contextmanager
    def _with_advice(self) -> Iterator[None]:
        try:
            yield
        except NotFound:
            raise NotFound(
                f"no runs in {self.root}: there is no store at {self.store_folder}; start one: "
                "`maverick run WORKFLOW`"
            ) from None

    def create_store(self) -> Store:
        """Open the project's store; make it if there is none."""
        from maverick.checkpoints import Store  # noqa: PLC0415

        return Store.create(self.store_folder)

    def write_file(self, name: str, text: str, *, replace: bool) -> Path:
        """Write the file *name* (a path from `.maverick`), and give where it is.

        Raises:
            UsageError: It is there, and is not to be *replaced*.
            MaverickError: It cannot be written.
        """
        path = self.root / FOLDER / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w" if replace else "x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            if isinstance(error, FileExistsError) and path.parent.is_dir():
                raise UsageError(
                    f"{path.relative_to(self.root)} is there already; choose another name, or "
                    "remove it"
                ) from None
            closed = f"; {ownership(path.parent)}" if isinstance(error, PermissionError) else ""
            raise MaverickError(f"cannot write {path}: {error.strerror}{closed}") from None
        return path

    def catalog(self, recorded: Mapping[str, str] | None = None) -> Catalog:
        """Give what workflows can name here; *recorded* (file -> text) stands in for lost files."""
        from maverick.dsl.catalog.catalog import Builtins, Catalog, WorkflowFolder  # noqa: PLC0415

        own = self.user_folder
        sources = [
            WorkflowFolder("project", self.root / FOLDER / "workflows"),
            *([WorkflowFolder("user", own / "workflows")] if own else []),
            WorkflowFolder("built in", library.WORKFLOWS),
            WorkflowFolder("built in", library.FRAGMENTS),
        ]
        builtins = Builtins(
            actions=library.ACTIONS,
            agents=library.AGENT_PROMPTS,
            generators=library.GENERATORS,
            contexts=library.CONTEXT_BUILDERS,
        )
        vet = self.trust.require if self.trust else None
        return Catalog(
            self.root, self.config, sources, builtins, recorded, vet=vet, stand_ins=self.stand_ins
        )


def open_project(
    location: Location, environment: Mapping[str, str], owners: OwnersOf = owners_of
) -> Project:
    """Give the project at *location*, whose files are taken, and let git work in its repository.

    Raises:
        UsageError: Files of it belong to somebody else, or its store is a link that leads out of
            it.
        WorkflowInvalid: The user's configuration has problems.
    """
    trust = roots.load_trust(location, environment, owners)
    counts = roots.check_trust(location, trust)
    repositories.trust_repository(location.root, trust.is_ours)
    # Steps and the collector run in other folders, where a relative name would lead elsewhere.
    named = {roots.VARIABLE: str(location.root)} if location.named else {}
    return Project(location.root, {**environment, **named}, trust if counts else None)


def refuse_system(platform: str) -> None:
    """Refuse systems whose locks and process groups are not those of Linux and macOS."""
    if platform not in ("linux", "darwin"):
        raise UsageError(f"maverick runs on Linux and macOS; on {platform}, use WSL")
