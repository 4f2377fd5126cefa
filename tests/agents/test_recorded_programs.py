"""What the real programs wrote, word for word (`tests/standins/recorded`), and what maverick makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit_agents import STANDINS, Agents

SAMPLES = sorted((STANDINS / "recorded").glob("*/*.json"))


def samples(case: str) -> list[str]:
    """The samples of a case, as `claude-2.1.332/401`."""
    return [f"{path.parent.name}/{path.stem}" for path in SAMPLES if path.stem == case]


def provider_of(sample: str) -> str:
    return sample.partition("-")[0]


def fresh(agents: Agents, sample: str) -> Path:
    """The project, with an agent that the sample's program plays."""
    agents.helper(provider_of(sample))
    return agents.runs.root


@pytest.mark.parametrize("sample", samples("lost_session"))
def test_a_session_that_is_lost_is_told_and_a_new_one_is_begun(agents: Agents, sample: str) -> None:
    """After the program's own clean-up, on another machine, in a fresh container: the step is not failed by it."""
    fresh(agents, sample)
    agents.play({"hang": True})
    agents.interrupt()
    agents.play({"recorded": sample}, {"text": "Begun anew."})

    resumed = agents.runs.resume()

    assert "Begun anew." == resumed.output, resumed.error
    (notice,) = resumed.notices
    assert " cannot be continued (exit code " in notice
    assert notice.endswith("; a new one is begun")
    assert "You were interrupted" not in agents.prompts[-1]
