"""The health of a project: its configuration, its workflows, its store, and the disk below it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from maverick.dsl.processes.secrets import SHORTEST
from maverick.dsl.workflow.model import steps_in
from maverick.errors import MaverickError, NotFound, RefDamaged, StepFailed, WorkflowInvalid
from maverick.library import AGENT_PROMPTS, GENERATORS
from maverick.owners import ownership
from maverick.roots import CONFIG, MARKS
from maverick.views.health.checks import Check
from maverick.visible import list_names, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from maverick.dsl.catalog.catalog import Catalog
    from maverick.dsl.workflow.model import Workflow
    from maverick.project import Project
    from maverick.views.health.checks import Patient, Probe

_LITTLE_BYTES: Final = 1 << 30
_TOO_LITTLE_BYTES: Final = 100 << 20
_FEW_FILES: Final = 1_000
_NAMED: Final = 5
_ROLES: Final = frozenset({"default", "generator"})
"""Agents that play others; no workflow names them."""


def probes(patient: Patient) -> list[Probe]:
    """Give what looks at the project; at the disk also where there is none."""
    project = patient.project
    if project is None:
        return [("disk", lambda it: _disk(it.folder))]
    return [
        ("project", lambda _: _project(project)),
        ("configuration", lambda _: _configuration(project)),
        ("workflows", lambda _: _workflows(project)),
        ("disk", lambda _: _disk(str(project.root))),
        ("locks", lambda _: _locks(project)),
        ("store", lambda _: _store(project)),
    ]


def _project(project: Project) -> Iterator[Check]:
    if any(os.path.lexists(project.root / mark) for mark in MARKS):
        yield Check("project", "ok", str(project.root))
    else:
        yield Check(
            "project",
            "warning",
            f"{project.root} has none of {', '.join(MARKS)}",
            "go to a project, or name one with -C DIR; else this folder becomes one",
        )
    if not os.access(project.root, os.W_OK):
        why = ownership(project.root)
        yield Check("project", "wrong", f"{project.root} cannot be written to", why)


# --- configuration --------------------------------------------------------------------------------


def _configuration(project: Project) -> list[Check]:
    """Look at maverick.yaml, and for what it names and nothing uses."""
    config = project.config  # Raises what is wrong with the file, all at once.
    checks: list[Check] = []
    checks += _secrets(project)
    checks += _actions(project.catalog())
    for name in sorted(_unused_agents(project)):
        where = "maverick.yaml" if name in config.agents else f".maverick/agents/{name}.md"
        message = f"no workflow names the agent `{name}` of {where}"
        checks.append(Check("configuration", "warning", message, "correct its name, or remove it"))
    if not checks:
        is_there = (project.root / CONFIG).exists()
        known = "maverick.yaml is read" if is_there else "there is no maverick.yaml"
        agents = f"; agents: {', '.join(sorted(config.agents))}" if config.agents else ""
        checks.append(Check("configuration", "ok", f"{known}{agents}"))
    return checks


def _secrets(project: Project) -> Iterator[Check]:
    for name in project.config.secrets:
        value = project.environment.get(name, "")
        if not value:
            yield Check(
                "configuration",
                "warning",
                f"the secret {name} is not set",
                "set it in the environment, or take it out of `secrets:` in maverick.yaml",
            )
        elif len(value.strip()) < SHORTEST:
            yield Check(
                "configuration",
                "wrong",
                f"the secret {name} has less than {SHORTEST} characters, so no run starts",
                "use a longer one, or take it out of `secrets:` in maverick.yaml",
            )


def _actions(catalog: Catalog) -> Iterator[Check]:
    try:
        catalog.action_names  # noqa: B018 - it imports the modules
    except StepFailed as error:
        yield Check(
            "configuration", "wrong", one_line(str(error)), "correct the module, or its name"
        )


def _unused_agents(project: Project) -> set[str]:
    """Give the agents of maverick.yaml and `.maverick/agents` that no workflow can name.

    What ships, and what an expression may name by the default of an input, counts as named.
    """
    catalog = project.catalog()
    named = {*_ROLES, *AGENT_PROMPTS}
    named |= {ending for name in GENERATORS for ending in (name, f"{name}_generator")}
    for _, path in catalog.listing():
        draft = catalog.check(str(path), syntax=True).draft
        if draft is not None:
            named |= _agents_in(draft)
    return {*project.config.agents, *catalog.agent_names()} - named


def _agents_in(workflow: Workflow) -> set[str]:
    named = {
        mention.name
        for step in steps_in(workflow.steps)
        for mention in step.mentions()
        if mention.kind in ("agent", "generator") and isinstance(mention.name, str)
    }
    for declared in workflow.inputs.values():
        named |= {text for text in (declared.default, *declared.choices) if isinstance(text, str)}
    return named


def _workflows(project: Project) -> list[Check]:
    """Check the workflows of the project and the user, as `workflow check` does."""
    try:
        catalog = project.catalog()
    except WorkflowInvalid:  # Of maverick.yaml, which is looked at, too.
        return []
    checks: list[Check] = []
    count = 0
    for folder, path in catalog.listing():
        if folder.name == "built in":
            continue
        count += 1
        problems = catalog.check(str(path)).problems
        if problems:
            more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
            checks.append(
                Check(
                    "workflows",
                    "wrong",
                    f"{one_line(str(problems[0]))}{more}",
                    f"`maverick workflow check {catalog.shown(path)}` shows all",
                )
            )
    checks += [
        Check("workflows", "wrong", f"{path} cannot be read: {why}")
        for path, why in catalog.unreadable_folders()
    ]
    own = f"{count} of its own" if count else "those that ship"
    return checks or [Check("workflows", "ok", f"{own}, without problems")]


# --- disk, locks and store ------------------------------------------------------------------------


def _disk(folder: str) -> Iterator[Check]:
    usage, files = shutil.disk_usage(folder), os.statvfs(folder)
    free = f"{_gigabytes(usage.free)} of {_gigabytes(usage.total)} are free"
    advice = "make room; `maverick gc` removes what no run needs"
    if usage.free < _TOO_LITTLE_BYTES:
        yield Check("disk", "wrong", free, advice)
    elif usage.free < _LITTLE_BYTES:
        yield Check("disk", "warning", free, advice)
    else:
        yield Check("disk", "ok", free)
    if files.f_files and files.f_favail < _FEW_FILES:
        yield Check("disk", "warning", f"room for {files.f_favail} more files", advice)


def _gigabytes(count: int) -> str:
    return f"{count / (1 << 30):,.1f} GiB"


def _locks(project: Project) -> Iterator[Check]:
    try:
        store = project.open_store()
    except NotFound:
        yield Check("locks", "ok", "nothing was run here yet")
        return
    except MaverickError:  # The store is looked at, too.
        return
    if store.locks.are_trusted:
        yield Check("locks", "ok", "they keep out every other process")
    else:
        yield Check(
            "locks",
            "warning",
            "on this file system they may not keep out what other hosts do",
            "let one host at a time run here; gc and repair need --alone",
        )


def _store(project: Project) -> Iterator[Check]:
    """Look at the refs of all runs, and at what was put aside; read no object."""
    damaged: list[RefDamaged] = []
    try:
        refs = project.open_overview().refs(damaged)
    except NotFound:
        yield Check("store", "ok", "nothing was run here yet")
        return
    for error in damaged:
        advice = "`maverick checkpoint fsck --repair` makes it stand at its newest whole checkpoint"
        yield Check("store", "wrong", one_line(str(error)), advice)
    if not os.access(project.store_folder, os.W_OK):
        yield Check(
            "store",
            "wrong",
            f"{project.store_folder} cannot be written to",
            ownership(project.store_folder),
        )
    aside = _names_in(project.store_folder / "quarantine")
    if aside:
        yield Check(
            "store",
            "warning",
            f"fsck has set aside {list_names(aside, _NAMED)}",
            "what was whole in it is saved; remove the folder quarantine when you do not need it",
        )
    if not damaged:
        count = f"{len(refs):,} run{'' if len(refs) == 1 else 's'}"
        yield Check(
            "store", "ok", f"{count}; `maverick checkpoint fsck --read-data` reads all of it"
        )


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return []
