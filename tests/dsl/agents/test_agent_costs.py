"""What a run's agents cost: every call counts once, whatever becomes of the step that made it."""

from __future__ import annotations

from kit.agents import Agents
from kit.runs import Execution

_CONFIG = "agents: {worker: {provider: command, command: [sh, agent.sh]}}"


def calls(done: Execution) -> int:
    assert done.outcome is not None
    return done.outcome.costs.calls


def test_each_call_counts_once(agents: Agents) -> None:
    """Those of attempts that fail, of a failure that is an outcome, and of earlier executions."""
    agents.runs.file("maverick.yaml", f"{_CONFIG}\nactions: [{agents.runs.module}]")
    agents.runs.file("agent.sh", "cat > /dev/null; test -e ready && echo fine")
    agents.runs.flow("""
    - {name: odd, agent: worker, context: {n: 1}, retry: {attempts: 2}, continue_on_error: true}
    - {name: work, agent: worker, context: {n: 2}}
    """)
    failed = agents.runs.start()
    agents.runs.file("ready", "")
    resumed = agents.runs.resume()

    assert ("failed", "done") == (failed.status, resumed.status)
    assert (3, 4) == (calls(failed), calls(resumed))


def test_those_of_rollbacks_count(agents: Agents) -> None:
    agents.runs.file("maverick.yaml", _CONFIG)
    agents.runs.file("agent.sh", "cat > /dev/null; echo fine")
    agents.runs.flow("""
    - {name: first, run: 'true', rollback: {agent: worker, context: {undo: first}}}
    - {name: work, run: exit 3}
    """)

    assert 1 == calls(agents.runs.start())
