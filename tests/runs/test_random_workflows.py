"""Random workflows, killed at random points several times over, end as they do when nobody kills
them.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from kit.runs import Runs
from maverick.errors import StepsDiffer

Step: TypeAlias = dict[str, object]
"""A step as it stands in a workflow file (YAML reads JSON)."""


def _leaves() -> st.SearchStrategy[Step]:
    plain: Step = {"type": "python", "action": "do", "args": ["NAME-${{ index }}"]}
    return st.sampled_from([
        plain,
        {**plain, "pure": True},
        {**plain, "when": "index != 1"},
        {**plain, "when": "not exists('NAME')"},
        {"type": "python", "action": "make", "args": ["NAME-${{ index }}", "made"], "when": "not exists('made')"},
        {"type": "python", "action": "fail", "args": ["NAME-${{ index }}"], "continue_on_error": True},
        {"type": "checkpoint", "checkpoint_id": "NAME ${{ index }}"},
    ])  # fmt: skip


def _around(inner: st.SearchStrategy[Step]) -> st.SearchStrategy[Step]:
    blocks = st.lists(inner, min_size=1, max_size=3)
    loops = st.sampled_from([
        {"for_each": ["a", "b", "c"]},
        {"for_each": ["a", "b"], "collect": "steps"},
        {"for_each": ["a", "b", "c"], "max_concurrency": 2},
        {"for_each": ["a", "b"], "key": "item", "parallel": True},
        {"for_each": ["a", "b"], "key": "item", "pure": True},
        {"until": "index >= 1"},
        {},
    ])  # fmt: skip
    conditions = st.sampled_from(["index == 0", "exists('made')", "true"])
    return st.one_of(
        st.builds(lambda marks, steps: {"type": "loop", **marks, "steps": steps}, loops, blocks),
        st.builds(
            lambda when, one, other: {
                "type": "branch",
                "options": [{"when": when, "step": one}],
                "else": other,
            },
            conditions,
            inner,
            inner,
        ),
    )


MADE_OF_STEPS = {"loop", "branch"}
WORKFLOWS = st.lists(st.recursive(_leaves(), _around, max_leaves=5), min_size=1, max_size=4)


def _named(step: Step, names: Counter[str], *, together: bool = False) -> Step:
    """*step* and all inside it with names of their own, which stand for NAME in their texts.

    Where steps run *together*, none asks for files: what it would find is a matter of luck.
    """
    names["s"] += 1
    name = f"s{names['s']}"
    result: Step = {"name": name, **step}
    for field in ("steps", "options", "else"):
        result.pop(field, None)
    result = json.loads(json.dumps(result).replace("NAME", name))
    together = together or "max_concurrency" in step or "parallel" in step
    if together and "exists" in str(result.get("when")):
        del result["when"]
    if "steps" in step:
        result["steps"] = [_named(each, names, together=together) for each in step["steps"]]  # type: ignore[attr-defined]
    if "options" in step:
        (option,) = step["options"]  # type: ignore[misc]
        when = "true" if together else option["when"]
        result["options"] = [
            {"when": when, "step": _named(option["step"], names, together=together)}
        ]
        result["else"] = _named(step["else"], names, together=together)  # type: ignore[arg-type]
    return result


def _text(steps: list[Step]) -> str:
    """All of it in a loop of one round, so that `index` is known everywhere."""
    names: Counter[str] = Counter()
    rounds = {
        "name": "all",
        "type": "loop",
        "until": "true",
        "collect": "steps",
        "steps": [_named(s, names) for s in steps],
    }
    return json.dumps({"version": "1.0", "name": "flow", "steps": [rounds]}, indent=1)


def _project(folder: Path, text: str) -> Runs:
    project = Runs(folder)
    project.file("flow.yaml", text)
    project.environment["SAME"] = "1"
    return project


def _without_places(value: object) -> str:
    """A failure names the file that it happened in, which differs from project to project."""
    return "\n".join(line.partition(" (/")[0] for line in json.dumps(value, indent=1).splitlines())


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(WORKFLOWS, st.lists(st.integers(0, 60), min_size=1, max_size=3))
def test_a_random_workflow_survives_random_kills(steps: list[Step], kills: list[int]) -> None:
    """Recorded steps run once; those in flight at a kill once more for each kill."""
    text = _text(steps)
    note(text)
    with TemporaryDirectory() as folder:
        whole = _project(Path(folder) / "whole", text)
        expected = whole.start()
        assert "done" == expected.status
        killed = _project(Path(folder) / "killed", text)
        finished: set[str] = set()
        begun = False
        for number in kills:
            execution = killed.kill_at(number, resuming=begun)
            assert not finished & set(execution.executed)
            finished |= {told.step for told in execution.events if told.event == "step_done"}
            # Its event may be yet to come.
            begun = any((killed.root / ".maverick" / "checkpoints" / "refs").glob("*"))

        last = killed.resume() if begun else killed.start()

        assert not finished & set(last.executed)
        assert _without_places(expected.output) == _without_places(last.output)
        surplus = Counter(killed.log) - Counter(whole.log)
        assert set(killed.log) == set(whole.log)
        assert sum(surplus.values()) <= 3 * len(kills)


def _blocks(steps: list[Step]) -> list[list[Step]]:
    """*steps* and all lists of steps inside them."""
    found = [steps]
    for step in steps:
        if "steps" in step:
            found += _blocks(step["steps"])  # type: ignore[arg-type]
        if "options" in step:
            found += _blocks([step["options"][0]["step"]])[1:]  # type: ignore[index]
            found += _blocks([step["else"]])[1:]  # type: ignore[list-item]
    return found


def _recorded(project: Runs) -> set[str]:
    """The steps that are recorded. (A kill may come before the event that tells of it.)"""
    snapshot = project.store.snapshot(
        project.store.checkpoint(project.store.ref(project.run).checkpoint)
    )
    return set(snapshot.names(("steps",))) if snapshot.find(("steps",)) is not None else set()


def _edited(text: str, where: int, how: str) -> str:
    """The workflow with one step changed, put in, made to run alone or taken out."""
    workflow = json.loads(text)
    places = [
        (block, number)
        for block in _blocks(workflow["steps"][0]["steps"])
        for number in range(len(block))
    ]
    block, number = places[where % len(places)]
    match how:
        case "put in" | "put in pure":
            pure = {"pure": True} if "pure" in how else {}
            block.insert(
                number, {"name": "new", "type": "python", "action": "do", "args": ["new"], **pure}
            )
        case "take out":
            del block[number]
            if not block:
                block.append({"name": "new", "type": "python", "action": "do", "args": ["new"]})
        case _:
            step = block[number]
            if "args" in step:
                step["args"] = ["edited", *step["args"][1:]]  # type: ignore[index]
            elif "for_each" in step:
                step["for_each"] = [*step["for_each"][:-1], "z"]  # type: ignore[index]
    return json.dumps(workflow, indent=1)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    WORKFLOWS,
    st.integers(5, 60),
    st.integers(0, 20),
    st.sampled_from(["put in", "put in pure", "take out", "change"]),
)
def test_no_finished_step_runs_again_unasked(
    steps: list[Step], kill: int, where: int, how: str
) -> None:
    """The check before a resumption and the resumption itself agree, whatever was edited."""
    text = _text(steps)
    with TemporaryDirectory() as folder:
        project = _project(Path(folder), text)
        killed = project.kill_at(kill)
        if not killed.killed or not any(told.event == "run_started" for told in killed.events):
            return
        finished = _recorded(project)
        project.file("flow.yaml", _edited(text, where, how))
        note((project.root / "flow.yaml").read_text())
        note(f"finished: {sorted(finished)}")
        log = project.log
        try:
            resumed = project.resume()
        except StepsDiffer as refused:
            event(f"refused: {how}")
            note(f"refused: {refused}")
            assert log == project.log
            resumed = project.resume(policy="rerun")
            leaves = {
                told.step
                for told in killed.events
                if told.event == "step_started" and told.type not in MADE_OF_STEPS
            }
            recalled = {told.step for told in resumed.events if told.event == "step_recalled"}
            assert (finished & leaves) - recalled, (
                "nothing that had finished ran again, or was left out"
            )
        else:
            event(f"went on: {how}")
            assert not finished & set(resumed.executed)
        assert "done" == resumed.status
