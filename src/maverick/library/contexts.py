"""Context builders: what an agent or a generator is given, put together from a run's inputs and
outputs.

A step names one (`context: review_context`) in place of a mapping. What an earlier step gave is
found by its form, not by the step's name: a diff is whatever has `text` and `files`, an issue
whatever has `number` and `title`. The newest counts. What is not there is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maverick.dsl.catalog.scene import Scene
    from maverick.values import Value

Context = dict[str, "Value"]
DIFF_CHARACTERS = 60_000
"""How much of a diff is handed on; the rest the agent can read itself."""
_FORMS = {
    "diff": ("text", "files"),
    "issue": ("number", "title"),
    "phase": ("name", "tasks"),
    "validation": ("success", "stages"),
    "pull_request": ("number", "diff"),
}


def implementation_context(scene: Scene) -> Context:
    """For `implementer`: the branch and the phase (the loop's item, else a step's)."""
    phase = scene.item if _is(scene.item, "phase") else _newest(scene, "phase")
    given: Context = {
        "branch_name": _input(scene, "branch_name"),
        "task_file": _input(scene, "task_file"),
    }
    if isinstance(phase, dict):
        text = phase.get("text")  # The tasks stand in it.
        given |= {"phase": text} if text else {"phase": phase["name"], "tasks": phase["tasks"]}
        given["task_file"] = phase.get("file") or given["task_file"]
    return _without_gaps(given)


def review_context(scene: Scene) -> Context:
    """For `code_reviewer`: what is to be reviewed, its base, the diff, and what validation gave."""
    return _without_gaps(
        {
            "pull_request": _newest(scene, "pull_request"),
            "base_branch": _input(scene, "base_branch"),
            "diff": _diff(scene),
            "changed_files": _changed_files(scene),
            "validation": _validation(scene),
        }
    )


def issue_fix_context(scene: Scene) -> Context:
    """For `issue_fixer`: the issue (the loop's item, the input `issue`, or a step's)."""
    candidates = (scene.item, _input(scene, "issue"), _newest(scene, "issue"))
    return _without_gaps(
        {
            "issue": next((candidate for candidate in candidates if _is(candidate, "issue")), None),
            "branch_name": _input(scene, "branch_name"),
            "base_branch": _input(scene, "base_branch"),
        }
    )


def commit_message_context(scene: Scene) -> Context:
    """For `commit_message`: what is committed, and what for."""
    return _without_gaps(
        {
            "purpose": _purpose(scene),
            "changed_files": _changed_files(scene),
            "diff": _diff(scene),
        }
    )


def pr_title_context(scene: Scene) -> Context:
    """For `pr_title`: what the branch is about, and the files that it changes."""
    return _without_gaps(
        {
            "purpose": _purpose(scene),
            "branch_name": _input(scene, "branch_name"),
            "issue": _issue_named(scene),
            "changed_files": _changed_files(scene),
        }
    )


def pr_body_context(scene: Scene) -> Context:
    """For `pr_body`: what the title gets, and the diff and what validation gave."""
    more = {
        "base_branch": _input(scene, "base_branch"),
        "diff": _diff(scene),
        "validation": _validation(scene),
    }
    return _without_gaps({**pr_title_context(scene), **more})


# --- what is found in a scene ---------------------------------------------------------------------


def _input(scene: Scene, name: str) -> Value:
    return scene.inputs.get(name)


def _newest(scene: Scene, form: str) -> Value:
    return next((output for output in _outputs(scene) if _is(output, form)), None)


def _outputs(scene: Scene) -> Iterator[Value]:
    """Yield what finished steps gave, newest first."""
    names: Iterable[str] = reversed(list(scene.steps))
    return (scene.steps[name] for name in names)


def _is(value: Value, form: str) -> bool:
    return isinstance(value, dict) and all(name in value for name in _FORMS[form])


def _purpose(scene: Scene) -> Value:
    given = _input(scene, "context") or _input(scene, "message")
    if given is not None:
        return given
    if isinstance(scene.item, dict):
        return scene.item.get("name") or scene.item.get("title")
    return None


def _issue_named(scene: Scene) -> Value:
    issue = issue_fix_context(scene).get("issue")
    return {"number": issue["number"], "title": issue["title"]} if isinstance(issue, dict) else None


def _diff(scene: Scene) -> Value:
    diff = _newest(scene, "diff")
    text = diff["text"] if isinstance(diff, dict) else None
    if isinstance(text, str) and len(text) > DIFF_CHARACTERS:
        return (
            f"{text[:DIFF_CHARACTERS]}\n(the rest is left out: {len(text) - DIFF_CHARACTERS} "
            "characters)"
        )
    return text or None


def _changed_files(scene: Scene) -> Value:
    for output in _outputs(scene):
        files = output.get("files") if isinstance(output, dict) else None
        if isinstance(files, list) and files:
            return [_path(file) for file in files]
    return None


def _path(file: Value) -> Value:
    return file.get("path") if isinstance(file, Mapping) else file


def _validation(scene: Scene) -> Value:
    validation = _newest(scene, "validation")
    if not isinstance(validation, dict):
        return None
    stages = validation["stages"] if isinstance(validation["stages"], list) else []
    named = [
        {"name": stage.get("name"), "success": stage.get("success")}
        for stage in stages
        if isinstance(stage, dict)
    ]
    return {"success": validation["success"], "stages": list(named)}


def _without_gaps(given: Context) -> Context:
    return {name: value for name, value in given.items() if value not in (None, "", [], {})}
