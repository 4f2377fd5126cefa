"""Runs as a Python program and a notebook see them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import maverick
from kit.folders import Folder
from kit.program import Program
from maverick.dsl.events import Event
from maverick.errors import NoSuchName, NotFound, UsageError

WORK = """
- {name: plan, run: 'echo planned; echo doubt >&2', parse: text}
- name: work
  type: loop
  for_each: ${{ inputs.items }}
  steps:
    - {name: make, run: 'echo ${{ quote(item) }} > ${{ quote(item) }}.txt', artifacts: ['*.txt']}
- {name: check, run: 'test -e pass || { echo FAILED test_x; exit 3; }'}
"""
INPUTS = "inputs: {items: {type: array, default: [a, b]}}\ncheckpoints: {workspace: label}"


@pytest.fixture
def failed(folder: Folder) -> maverick.Outcome:
    return maverick.run(folder.flow(WORK, more=INPUTS))


# --- a run ----------------------------------------------------------------------------------------


def test_a_run_tells_what_it_came_to(failed: maverick.Outcome) -> None:
    before = datetime.now(UTC)
    run = maverick.open().run()

    assert (failed.run, "flow", "failed", "check") == (
        run.name,
        run.workflow,
        run.status,
        run.failed_at,
    )
    assert run.error == failed.error
    assert "FAILED test_x" in (run.error or "")
    assert {"items": ["a", "b"]} == run.inputs
    assert run.output is None
    assert run.started <= (run.ended or before) <= before
    assert (run.seconds or 0) > 0
    assert f"<Run {run.name} failed>" == repr(run)


def test_its_json_is_that_of_show(failed: maverick.Outcome, folder: Folder) -> None:
    """One description of a run, whoever asks."""
    program = Program(folder.root)

    shown = program.run("show", failed.run, "--json").json

    assert shown == json.loads(json.dumps(maverick.open().run().to_json()))


@pytest.mark.usefixtures("failed")
def test_a_step_has_its_output_log_time_and_error() -> None:
    steps = maverick.open().run().steps

    assert ["plan", "work", "work[0].make", "work[1].make", "check"] == list(steps)
    plan, check = steps["plan"], steps["check"]
    assert ("done", "shell", 1) == (plan.status, plan.type, plan.attempts)
    assert "planned" in str(plan.output)
    assert ["doubt", "planned"] == sorted(plan.log.split())
    assert 0 < (plan.seconds or 0) < 300
    assert plan.started is not None
    assert plan.error is None
    assert ("failed", None) == (check.status, check.output)
    assert "exit code 3" in (check.error or "")
    assert "FAILED test_x\n" == check.log
    assert [("failed", 3)] == [(attempt.status, attempt.exit_code) for attempt in check.tries]
    assert {"a.txt": b"a\n"} == dict(steps["work[0].make"].files)


@pytest.mark.usefixtures("failed")
def test_what_is_not_there_is_a_key_error_with_a_hint() -> None:
    """A mapping's user expects the one, a person the other."""
    run = maverick.open().run()

    with pytest.raises(KeyError, match="has no step 'chek'; did you mean `check`"):
        run.steps["chek"]
    with pytest.raises(NoSuchName, match="there is no file 'x'"):
        run.files["x"]
    assert "chek" not in run.steps
    assert run.steps.get("chek") is None


@pytest.mark.usefixtures("failed")
def test_its_files_are_those_that_it_kept_last(folder: Folder) -> None:
    """Without a checkpoint that keeps them there are none."""
    assert ["flow.yaml"] == list(maverick.open().run().files)
    assert b"name: flow" in maverick.open().run().files["flow.yaml"]
    maverick.run(folder.flow("- {name: s, run: echo}", "other"))
    assert {} == maverick.open().run().files


def test_an_outcome_leads_to_its_steps(failed: maverick.Outcome) -> None:
    assert "failed" == failed.steps["check"].status
    assert failed._repr_html_() == maverick.open().run()._repr_html_()


# --- many runs ------------------------------------------------------------------------------------


@pytest.fixture
def three(folder: Folder) -> list[str]:
    """Runs of two workflows, newest first."""
    one, other = folder.flow(WORK, more=INPUTS), folder.flow("- {name: s, run: echo}", "other-one")
    return [
        maverick.run(flow, inputs).run
        for flow, inputs in ((one, None), (other, None), (one, {"items": ["a"]}))
    ][::-1]


def test_runs_are_listed_newest_first_and_chosen(three: list[str]) -> None:
    project = maverick.open()

    assert three == [run.name for run in project.runs()]
    assert [three[1]] == [run.name for run in project.runs(status="done")]
    assert [three[1]] == [run.name for run in project.runs(workflow="other_one")]
    with pytest.raises(UsageError, match="no run is 'good'; it is one of"):
        project.runs(status="good")


def test_a_run_has_the_names_of_the_command_line(three: list[str]) -> None:
    project = maverick.open()

    names = ["@latest", "@{1}", "flow@{1}", three[0][-4:]]
    assert [three[0], three[1], three[2], three[0]] == [project.run(name).name for name in names]
    with pytest.raises(NotFound):
        project.run("nobody")


def test_two_runs_are_compared(three: list[str]) -> None:
    """From the one to the other; without one, from the run before of the same workflow."""
    project = maverick.open()
    new, old = project.run(three[0]), project.run(three[2])

    expected = {("inputs.items[1]", "removed"), ("steps.work[1].make.output", "removed")}
    for difference in (new.diff(), old.diff(new), old.diff(three[0])):
        assert expected <= {(row["path"], row["change"]) for row in difference}
        assert (old.name, new.name) == (difference.old, difference.new)
    assert new.diff() == old.diff(new)
    with pytest.raises(NotFound, match="there is no run of flow before"):
        old.diff()


def test_runs_of_two_projects_are_not_compared(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One store has not what the other holds; nothing is damaged by that."""
    here = maverick.run(folder.flow("- {name: a, run: echo a}"))
    (tmp_path / "other" / ".maverick").mkdir(parents=True)
    flow = (folder.root / "flow.yaml").read_text()
    (tmp_path / "other" / "flow.yaml").write_text(flow.replace("echo a", "echo b"))
    monkeypatch.chdir(tmp_path / "other")
    there = maverick.run("flow.yaml")
    run = here.project.run(here)

    for other in (there, there.project.run(there)):
        with pytest.raises(UsageError, match=re.escape(str(tmp_path / "other"))):
            run.diff(other)


def test_a_project_without_runs_has_none(tmp_path: Path) -> None:
    """Looking makes nothing."""
    project = maverick.open(tmp_path)

    assert [] == project.runs()
    assert [] == list(tmp_path.iterdir())
    with pytest.raises(NotFound, match="no runs in"):
        project.run()


def test_a_project_is_found_from_a_folder_in_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the command line does; a path that is given goes before the environment."""
    (folder.root / "src").mkdir()
    monkeypatch.setenv("MAVERICK_PROJECT", str(tmp_path))

    assert folder.root == maverick.open("src").root == maverick.open(folder.root / "src").root
    assert tmp_path == maverick.open().root
    with pytest.raises(NotFound, match="there is no folder"):
        maverick.open("nowhere")


def test_a_run_that_goes_on_is_seen_from_another_process(folder: Folder) -> None:
    """And says so."""
    flow = folder.flow("- {name: s, run: 'until [ -e go ]; do sleep 0.01; done'}")
    seen: list[str] = []

    def look(event: Event) -> None:
        if event.event == "step_started":
            code = (
                "import maverick; r = maverick.open().run(); print(r.status, r.steps['s'].status)"
            )
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            )
            seen.append(done.stdout)
            (folder.root / "go").touch()

    maverick.run(flow, on_event=look)

    assert ["running running\n"] == seen


# --- in a notebook --------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>&\"'\x1b[31m\u202e"


class Tags(HTMLParser):
    """Every tag, each with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, [name for name, _ in attrs]))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def hostile(folder: Folder) -> maverick.Project:
    """A project in which all that can be is hostile."""
    steps = "- {name: s, run: 'cat; exit 3', stdin: '${{ inputs.text }}'}"
    flow = folder.flow(steps, more="inputs: {text: {type: string}}")
    maverick.run(flow, {"text": "tame"})
    maverick.run(flow, {"text": HOSTILE})
    return maverick.open()


def test_a_notebook_shows_everything_and_obeys_nothing(hostile: maverick.Project) -> None:
    """Texts of a run are no markup; and what is shown needs no colour of the page."""
    run = hostile.run()
    outcome = maverick.run("flow.yaml", {"text": HOSTILE})
    views: list[Any] = [
        hostile,
        hostile.runs(),
        run,
        run.steps,
        run.steps["s"],
        run.files,
        run.diff(),
        outcome,
    ]

    for view in views:
        shown = Tags(view._repr_html_())
        assert [] == shown.open
        assert {tag for tag, _ in shown.tags} <= {
            *("div", "b", "table", "thead", "tbody", "tr", "th", "td", "span", "pre", "code"),
            *("details", "summary"),
        }
        assert {name for _, names in shown.tags for name in names} <= {"style"}
        assert "\x1b" not in shown.text
        assert "\u202e" not in shown.text
        for style in view._repr_html_().split('style="')[1:]:
            assert "background" not in style.partition('"')[0].replace("background: none", "")
    assert "<script>alert(1)</script>" in Tags(run.steps["s"]._repr_html_()).text


def test_a_long_run_is_cut_for_a_notebook(folder: Folder) -> None:
    """A cell of megabytes makes a notebook slow for ever."""
    flow = folder.flow(
        "- {name: l, type: loop, for_each: '${{ range(300) }}', parallel: true, "
        "steps: [{name: s, action: 'tools:many'}]}"
    )
    (folder.root / "tools.py").write_text("def many():\n    return 'x' * 10_000\n")

    run = maverick.open().run(maverick.run(flow).run)

    assert 301 == len(run.steps)
    assert "and 101 more" in run._repr_html_()
    assert len(run._repr_html_()) < 200_000
    assert len(run.steps["l"]._repr_html_()) < 100_000


def test_every_view_has_a_name_for_the_terminal(failed: maverick.Outcome) -> None:
    project = maverick.open()
    run = project.run()

    assert f"maverick.open({str(project.root)!r})" == repr(project)
    assert f"[<Run {failed.run} failed>]" == repr(project.runs())
    assert repr(run.steps["check"]).startswith("<Step check failed")
    assert repr(run.steps).startswith(f"<Steps of {failed.run}: <Step plan done in ")
    assert "<Files: flow.yaml>" == repr(run.files)
