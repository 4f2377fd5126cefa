"""What a project offers to its workflows: workflows, actions, agents, stages; and where each comes
from.

Workflows are looked for in the folders given, the first one wins: a project's override a user's,
which override those that ship. Everything is loaded when it is first asked for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, assert_never

from maverick.dsl.catalog.actions import (
    Action,
    add_to_path,
    guard_imports,
    import_actions,
    load_action,
    public_names,
    stand_in_action,
)
from maverick.dsl.catalog.config import MEANS_A_STAGE, AgentConfig, Stage
from maverick.dsl.catalog.workflow_files import (
    files_in,
    is_path,
    may_exist,
    name_in,
    names_in,
    same_name,
    why_unlisted,
)
from maverick.dsl.serialization.loader import parse_workflow
from maverick.dsl.serialization.source_text import read_text
from maverick.errors import Problem, StepFailed, WorkflowInvalid
from maverick.owners import ownership
from maverick.record import record
from maverick.values import normalise
from maverick.visible import nearest

if TYPE_CHECKING:
    from maverick.dsl.catalog.config import Config
    from maverick.dsl.catalog.scene import Scene
    from maverick.dsl.serialization.loader import Checked
    from maverick.dsl.standins import StandIns
    from maverick.dsl.workflow.model import MentionKind, Workflow
    from maverick.values import Value

_GENERATOR = "_generator"
_SHIPPED = "built in"
"""The name of the folders of what ships."""
_MISTYPED = 0.8
"""How alike a name and a known one are where the one is taken for the other, mistyped."""


class WorkflowFolder(NamedTuple):
    """A folder of workflows, and what it is called in listings: `project`, `user`, `built in`."""

    name: str
    path: Path


@record
class Builtins:
    """What ships: actions (name -> `module:function`), and agents' instructions (name -> Markdown
    file).

    Of generators, the instructions, and the function that writes the text where no agent does
    (context -> text); the functions that build contexts (`Scene` -> context).
    """

    actions: Mapping[str, str]
    agents: Mapping[str, Path]
    generators: Mapping[str, tuple[Path, str]] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    version: str = "1"


class Generator(NamedTuple):
    """Who writes a text: the agent of `config`, told `instructions`, or (None) the function
    `plain`.
    """

    name: str
    config: AgentConfig | None
    instructions: str
    plain: Callable[[Value], str] | None


class Catalog:
    """Finds what a workflow names. `recorded` (file -> text) stands in for workflow files that are
    gone.
    """

    def __init__(
        self,
        root: Path,
        config: Config,
        folders: Sequence[WorkflowFolder],
        builtins: Builtins,
        recorded: Mapping[str, str] | None = None,
        *,
        vet: Callable[[str], None] | None = None,
        stand_ins: StandIns | None = None,
    ) -> None:
        """*vet* raises UsageError for a file of the project that is not to be taken.

        With *stand_ins* no agent is asked, and some actions are theirs.
        """
        self.root = root
        self.config = config
        self.folders = tuple(folders)
        self.stand_ins = stand_ins
        self.recorded_in_use: set[str] = set()
        """Files that are gone, so that their recorded texts were taken."""
        self._builtins = builtins
        self._vet = vet
        self._by_name: dict[str, str] = {}
        self._recorded = dict(recorded or {})
        self._workflows: dict[str, Workflow] = {}
        self._actions: dict[str, Action] = {}

    @property
    def builtins(self) -> Builtins:
        """What ships."""
        return self._builtins

    # --- what the linter asks ---------------------------------------------------------------------

    def has(self, kind: MentionKind, name: str) -> bool:
        """Whether there is such a thing.

        A `default` agent plays any agent; a name that looks mistyped is none. Any agent is a
        generator, `module:function` an action, and a program that can be run a validation stage.

        Raises:
            StepFailed: An action's module, or one of the project's, does not load.
        """
        match kind:
            case "action" if name in self._builtins.actions or self._stand_in(name):
                return True  # Nothing is imported for it.
            case "action" if ":" in name:
                return bool(self.action(name))
            case "agent" | "generator":
                return self._is_played(name, set(self.names(kind)))
            case "validation stage":
                is_program = name != MEANS_A_STAGE and shutil.which(name) is not None
                return is_program or name in self.stages
            case "workflow":
                return self.find_workflow(name) is not None
            case _:
                return name in self.names(kind)

    def _is_played(self, name: str, names: set[str]) -> bool:
        if name in names or self.stand_ins is not None:  # One without an answer fails when asked.
            return True
        return "default" in self.config.agents and not nearest(name, names, likeness=_MISTYPED)

    def wrong_arguments(
        self, action: str, args: Sequence[object] | None, kwargs: Mapping[str, object] | None
    ) -> list[tuple[str, str]]:
        """What is wrong with calling an action so. The folder of the step counts as its `cwd`."""
        is_built_in = action in self._builtins.actions
        loaded = self._load_action(action) if is_built_in else self.action(action)
        if args is not None and kwargs is not None:
            kwargs = loaded.in_folder(args, dict(kwargs), str(self.root))
        return loaded.wrong_arguments(args, kwargs)

    def names(self, kind: MentionKind) -> Iterable[str]:
        match kind:
            case "action":
                return self.action_names
            case "agent":
                return self.agent_names()
            case "validation stage":
                return self.stages
            case "workflow":
                return {name for folder in self.folders for name in names_in(folder.path)}
            case "generator":
                return self.generator_names()
            case "context builder":
                return self._builtins.contexts
            case _:
                assert_never(kind)

    # --- workflows --------------------------------------------------------------------------------

    def workflow(self, reference: str, calling_file: str = "") -> Workflow:
        """The workflow of that name, or of the file *reference* (relative to *calling_file*'s
        folder, or the root).

        Raises:
            WorkflowInvalid: There is none (near names are given), or it has problems.
        """
        workflow = self.find_workflow(reference, calling_file)
        if workflow is None:
            where = calling_file or reference
            raise WorkflowInvalid(
                [Problem(where, 0, 0, self.unknown_workflow(reference, calling_file))]
            )
        return workflow

    def check(self, reference: str, *, syntax: bool = False) -> Checked:
        """All problems and warnings of the workflow *reference*, and of those it calls, at once.

        *syntax*: of the file itself only; nothing that it names is looked up.

        Raises:
            WorkflowInvalid: There is none.
        """
        from maverick.dsl.catalog.lint import check_text  # noqa: PLC0415 - what only lists or shows workflows does without

        file = self._file_of(reference, "")
        if file is None:
            raise WorkflowInvalid([Problem(reference, 0, 0, self.unknown_workflow(reference))])
        checked = check_text(self._text(file), file, None if syntax else self)
        if checked.workflow is not None:
            self._workflows[file] = checked.workflow
        return checked

    def find_workflow(self, name: str, from_file: str = "") -> Workflow | None:
        """As `workflow`, but None where there is none."""
        file = self._file_of(name, from_file)
        return None if file is None else self._load(file)

    def unknown_workflow(self, reference: str, calling_file: str = "") -> str:
        """Say that there is no such workflow, and where it was looked for."""
        if is_path(reference):
            folder = self._path_of_reference(reference, calling_file).parent
            there = [path.name for path in files_in(folder)]
            hint = (
                nearest(Path(reference).name, there)
                or "; `maverick workflow list` shows what can be run by name"
            )
            return f"there is no workflow file {reference!r}{hint}"
        names = set(self.names("workflow"))
        shown = ", ".join(sorted(names)) or "none"
        return (
            f"there is no workflow {reference!r}{nearest(reference, names)} (known: {shown}; or "
            "give a file)"
        )

    def shown(self, path: Path) -> str:
        """How a workflow file is called in messages and records: relative to the project if it is
        inside.
        """
        for folder in self.folders:
            if folder.name == _SHIPPED and path.is_relative_to(folder.path):
                return f"<built in>/{path.relative_to(folder.path).as_posix()}"
        return (
            path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        )

    def path_of(self, file: str) -> Path:
        """The file that `shown` called so."""
        if file.startswith("<built in>/"):
            name = file.removeprefix("<built in>/")
            shipped = [folder.path / name for folder in self.folders if folder.name == _SHIPPED]
            return next((path for path in shipped if path.exists()), shipped[-1])
        return self.root / file

    def listing(self) -> Iterator[tuple[WorkflowFolder, Path]]:
        """Every workflow file of every folder, in the order in which names are looked up."""
        for folder in self.folders:
            for path in sorted(files_in(folder.path)):
                yield folder, path

    def unreadable_folders(self) -> Iterator[tuple[Path, str]]:
        """Every folder of workflows that is there and cannot be listed, so that it holds none; and
        why not.
        """
        for folder in self.folders:
            if why := why_unlisted(folder.path):
                yield folder.path, why

    def overriding(self) -> list[str]:
        """Say of each workflow that was loaded by a name that ships, and is another file, which
        file that is.
        """
        if not self._by_name:
            return []
        shipped = {
            name
            for folder in self.folders
            if folder.name == _SHIPPED
            for name in names_in(folder.path)
        }
        return [
            f"the workflow {name} is {file}, instead of the one that ships"
            for file, name in sorted(self._by_name.items())
            if file in self._workflows and any(same_name(name, other) for other in shipped)
        ]

    def loaded(self) -> dict[str, str]:
        """The texts of the workflows that were loaded: file -> text."""
        return {file: workflow.text for file, workflow in sorted(self._workflows.items())}

    def _file_of(self, reference: str, calling_file: str) -> str | None:
        if is_path(reference):
            path = self._path_of_reference(reference, calling_file)
            if self._vet and calling_file and path.is_relative_to(self.root):
                self._vet(str(path))
            file = self.shown(path)
            return file if may_exist(self.path_of(file)) or file in self._recorded else None
        for folder in self.folders:
            files = [
                self.shown(path)
                for path in files_in(folder.path)
                if same_name(name_in(path), reference)
            ]
            if len(files) > 1:
                both = " and ".join(sorted(files))
                message = f"{both} both define the workflow {reference!r}; remove one"
                raise WorkflowInvalid([Problem(files[0], 0, 0, message)])
            if files:
                if folder.name != _SHIPPED:
                    self._by_name[files[0]] = reference
                return files[0]
        return next(
            (file for file in self._recorded if same_name(Path(file).stem, reference)), None
        )

    def require_ours(self, file: str) -> None:
        """Raise UsageError if the file that `shown` called so is one of the project's that is not
        to be taken.
        """
        path = self.path_of(file)
        if self._vet and path.is_relative_to(self.root):
            self._vet(str(path))

    def _path_of_reference(self, reference: str, calling_file: str) -> Path:
        folder = self.path_of(calling_file).parent if calling_file else self.root
        return Path(os.path.normpath(folder / os.path.expanduser(reference)))  # noqa: PTH111 - `~nobody` stays as it is

    def _load(self, file: str) -> Workflow:
        if file not in self._workflows:
            self._workflows[file] = parse_workflow(self._text(file), file)
        return self._workflows[file]

    def _text(self, file: str) -> str:
        path = self.path_of(file)
        if may_exist(path) or file not in self._recorded:
            return read_text(path)
        self.recorded_in_use.add(file)
        return self._recorded[file]

    # --- actions ----------------------------------------------------------------------------------

    def action(self, name: str) -> Action:
        """The action that a step names: built in, of the modules under `actions:`, or
        `module:function`.

        Raises:
            StepFailed: There is none, or its module cannot be imported.
        """
        if name not in self._actions:
            self._actions[name] = self._stand_in(name) or self._load_action(name)
        return self._actions[name]

    def _stand_in(self, name: str) -> Action | None:
        function = self.stand_ins.actions.get(name) if self.stand_ins else None
        return None if function is None else stand_in_action(name, function)

    @cached_property
    def action_names(self) -> Mapping[str, str]:
        """Every action that has a plain name: name -> `module:function`. Built-in ones win."""
        names: dict[str, str] = {}
        for module in self.config.actions:
            names.update(self.actions_of(module))
        return {**names, **self._builtins.actions}

    def actions_of(self, module: str) -> dict[str, str]:
        """The actions of a module that maverick.yaml names: name -> `module:function`."""
        self._open_to_imports()
        return {
            name: f"{module}:{name}" for name in public_names(import_actions(module, self.root))
        }

    def _open_to_imports(self) -> None:
        add_to_path(str(self.root))
        if self._vet:
            guard_imports(str(self.root), self._vet)

    def _load_action(self, name: str) -> Action:
        self._open_to_imports()
        if (reference := self._builtins.actions.get(name)) is not None:
            return load_action(reference, name=name, version=self._builtins.version)
        if ":" in name:
            return load_action(name, root=self.root)
        if (reference := self.action_names.get(name)) is not None:
            return load_action(reference, name=name, root=self.root)
        raise StepFailed(
            f"there is no action {name!r}{nearest(name, self.action_names)}; name a built-in one, "
            "one of the modules under `actions:` in maverick.yaml, or `module:function`"
        )

    # --- agents and stages ------------------------------------------------------------------------

    def agent(self, name: str) -> AgentConfig:
        """The program that plays the agent *name*: as `agents:` in maverick.yaml says, else its
        `default`.
        """
        return self.config.agent(name)

    def instructions(self, name: str) -> str:
        """What the agent *name* is told before the context; empty for one that only the project
        knows.
        """
        shipped = (
            self._builtins.agents.get(name) or self._builtins.generators.get(name, (None, ""))[0]
        )
        own = self.root / ".maverick" / "agents" / f"{name}.md"
        try:
            return own.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return shipped.read_text("utf-8") if shipped is not None else ""
        except (OSError, UnicodeDecodeError) as error:
            why = f"{getattr(error, 'strerror', None) or error}"
            closed = f"; {ownership(own)}" if isinstance(error, PermissionError) else ""
            raise StepFailed(
                f"the instructions of agent {name!r} in {own} cannot be read: {why}{closed}"
            ) from None

    def agent_names(self) -> set[str]:
        try:
            own = {
                path.stem
                for path in (self.root / ".maverick" / "agents").iterdir()
                if path.suffix == ".md"
            }
        except OSError:  # None are known; `instructions` says it of one that is asked for.
            own = set()
        stand_ins = self.stand_ins.agents if self.stand_ins else ()
        return {*self.config.agents, *self._builtins.agents, *own, *stand_ins} - {"default"}

    def generator(self, name: str) -> Generator:
        """Who writes the texts of the generator *name* (with or without the ending `_generator`).

        It is played by the agent of its name in maverick.yaml, else by `generator`, else by
        `default`. If there is none of them, or it has `provider: none`, the shipped function writes
        the text; what has no such function is played as any agent is.
        """
        short = name.removesuffix(_GENERATOR)
        agents = self.config.agents
        roles = (short, f"{short}{_GENERATOR}", "generator", "default")
        config = next((agents[role] for role in roles if role in agents), None)
        _, reference = self._builtins.generators.get(short, (None, ""))
        plain = load_action(reference).function if reference else None
        if config is None and plain is None:
            config = self.config.agent(name)
        if config is not None and config.provider == "none":
            config = None
        if config is None and self.stand_ins and not self.stand_ins.agents.isdisjoint(roles[:2]):
            config = AgentConfig()
        return Generator(
            name=short, config=config, instructions=self.instructions(short), plain=plain
        )

    def generator_names(self) -> set[str]:
        shipped = self._builtins.generators
        return {*shipped, *(f"{name}{_GENERATOR}" for name in shipped), *self.agent_names()}

    def build_context(self, name: str, scene: Scene) -> Value:
        """The context that the builder *name* makes of a scene.

        Raises:
            StepFailed: There is no such builder.
        """
        reference = self._builtins.contexts.get(name)
        if reference is None:
            raise StepFailed(
                f"there is no context builder {name!r}{nearest(name, self._builtins.contexts)}; "
                "`context` is a mapping, an expression, or one of "
                f"{', '.join(sorted(self._builtins.contexts))}"
            )
        return normalise(load_action(reference).function(scene), f"context {name}")

    @property
    def stages(self) -> Mapping[str, Stage]:
        """The validation stages of maverick.yaml, in its order."""
        return self.config.stages
