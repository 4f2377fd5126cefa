import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from maverick import library
from maverick.dsl.serialization.loader import parse_workflow
from maverick.dsl.serialization.source_text import read_text
from maverick.library.actions.tasks import get_phases

FILES = sorted([*library.WORKFLOWS.glob("*.yaml"), *library.FRAGMENTS.glob("*.yaml")])
AGENT = Path(__file__).parents[2] / "examples" / "agent" / "scripted_agent.py"


@pytest.mark.parametrize("name", sorted(library.ACTIONS))
def test_every_action_is_a_documented_typed_function(name: str) -> None:
    module, _, function_name = library.ACTIONS[name].partition(":")

    function = getattr(importlib.import_module(module), function_name)

    assert name == function.__name__
    assert function.__doc__
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())


@pytest.mark.parametrize("name", sorted(library.AGENT_PROMPTS))
def test_every_agent_has_instructions(name: str) -> None:
    assert library.AGENT_PROMPTS[name].read_text("utf-8").strip()


def test_importing_the_library_loads_nothing_of_it() -> None:
    """Every command imports it."""
    script = (
        "import sys, maverick.library; print([m for m in sys.modules if m.startswith('maverick.')])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert "['maverick.library']\n" == done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_workflow_is_valid_and_says_what_it_does(path: Path) -> None:
    workflow = parse_workflow(read_text(path), str(path))

    assert path.stem == workflow.name
    for part in ("Purpose:", "Inputs:", "Output:", "Steps, in order"):
        assert part in workflow.description
    for name, declared in workflow.inputs.items():
        assert name in workflow.description
        assert declared.description


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_description_names_the_steps_in_their_order(path: Path) -> None:
    workflow = parse_workflow(read_text(path), str(path))
    described = workflow.description.partition("Steps, in order")[2]

    outermost = [line.split() for line in described.splitlines() if re.match("  [^ ]", line)]
    assert [step.name for step in workflow.steps] == [
        words[1] if words[0] == "●" else words[0] for words in outermost
    ]


class TestScriptedAgent:
    """The agent of the demo is an ordinary program."""

    def ask(self, folder: Path, agent: str, context: object) -> str:
        (folder / "context.json").write_text(json.dumps(context))
        environment = {
            **os.environ,
            "MAVERICK_AGENT": agent,
            "MAVERICK_CONTEXT": str(folder / "context.json"),
        }
        done = subprocess.run(
            [sys.executable, str(AGENT)],
            cwd=folder,
            env=environment,
            input="Do it",
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def test_implements_a_phase_errs_and_corrects_itself(self, tmp_path: Path) -> None:
        (tmp_path / "tasks.md").write_text((AGENT.parent / "tasks.md").read_text("utf-8"), "utf-8")
        for phase in get_phases(cwd=str(tmp_path)):
            self.ask(tmp_path, "implementer", {"task_file": phase.file, "phase": phase.text})
        check = [sys.executable, "-m", "unittest", "-q"]
        first = subprocess.run(check, cwd=tmp_path, capture_output=True, check=False)
        answer = self.ask(tmp_path, "validation_fixer", {"failed_stage": {"name": "test"}})
        second = subprocess.run(check, cwd=tmp_path, capture_output=True, check=False)

        assert (1, 0) == (first.returncode, second.returncode)
        assert "Stage test failed; corrected backwards.py." == answer
        assert [] == get_phases(pending_only=True, cwd=str(tmp_path))
