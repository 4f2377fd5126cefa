"""`maverick doctor`: what is in place, what is not, and what to do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from kit.program import Ended, Program
from kit.runs import whole
from maverick.checkpoints import Store

STANDINS = Path(__file__).parents[1] / "standins"
AGENTS = "agents: {default: {provider: claude}, reviewer: {provider: codex}}\n"
TOKEN = "ghp_0123456789abcdef"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A project with nothing on its PATH but what a test puts there, and git."""
    program = Program(tmp_path / "project")
    folder = tmp_path / "programs"
    folder.mkdir()
    git = shutil.which("git")
    assert git is not None
    (folder / "git").symlink_to(git)
    program.environment |= {
        "PATH": str(folder),
        "STANDIN_FOLDER": str(tmp_path),
        "GH_STANDIN": str(tmp_path),
        **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Ada"),
        **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "ada@example.org"),
    }
    return program


def put(program: Program, *names: str) -> None:
    """Put stand-ins for programs on the PATH."""
    for name in names:
        script(program, name, f'exec "{sys.executable}" -S "{STANDINS / name}" "$@"')


def script(program: Program, name: str, text: str) -> Path:
    """Put a script on the PATH."""
    path = Path(program.environment["PATH"]) / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def own(program: Program, steps: str) -> None:
    """Let the project have the workflow `own`."""
    program.file(".maverick/workflows/own.yaml", whole(steps, "own"))


def found(ended: Ended, area: str) -> list[tuple[str, str]]:
    """What was found of an area."""
    return [(check["status"], check["message"]) for check in ended.json if check["area"] == area]


def statuses(ended: Ended) -> dict[str, str]:
    """The status of each area; what is not ok wins."""
    return {
        check["area"]: check["status"]
        for check in sorted(ended.json, key=lambda check: check["status"] != "ok")
    }


class TestWell:
    def test_all_is_in_place(self, program: Program) -> None:
        put(program, "claude", "codex", "gh")
        program.file("maverick.yaml", AGENTS)
        own(program, "- {name: a, type: agent, agent: reviewer}")

        ended = program.run("doctor")

        assert (0, "") == (ended.code, ended.err)
        assert "default: claude 2.1.332: somebody is logged in" in ended.out
        assert "reviewer: codex 0.169.0: somebody is logged in" in ended.out
        assert "all is in place" == ended.out.splitlines()[-1]

    def test_json_has_a_row_for_each_area_with_these_keys(self, program: Program) -> None:
        ended = program.run("doctor", "--json")

        assert {("area", "status", "message", "advice")} == {tuple(row) for row in ended.json}
        assert [
            "maverick", "project", "configuration", "workflows", "disk", "locks", "store", "git", "gh",
            "agents",
        ] == list(dict.fromkeys(row["area"] for row in ended.json))  # fmt: skip

    def test_what_nobody_configured_is_a_warning_at_most(self, program: Program) -> None:
        """Who has only shell steps needs no agent."""
        ended = program.run("doctor", "--json")

        assert 0 == ended.code
        assert {"agents": "warning"} == {
            area: status for area, status in statuses(ended).items() if status != "ok"
        }


class TestAgents:
    def test_one_that_is_not_there_is_wrong_with_how_to_get_it(self, program: Program) -> None:
        program.file("maverick.yaml", "agents: {default: {provider: gemini}}")

        ended = program.run("doctor")

        assert 1 == ended.code
        assert "wrong  agents         default: gemini is not there" in ended.out
        assert "npm install -g @google/gemini-cli" in ended.out
        assert "1 wrong, 0 warnings" == ended.out.splitlines()[-1]

    def test_a_command_that_is_not_there_is_wrong(self, program: Program) -> None:
        program.file(
            "maverick.yaml", "agents: {default: {provider: command, command: [no-such-agent]}}"
        )

        assert [("wrong", "default: command is not there")] == found(
            program.run("doctor", "--json"), "agents"
        )

    @pytest.mark.parametrize(("name", "word"), [("claude", "/login"), ("codex", "codex login")])
    def test_one_that_is_logged_out_is_wrong_with_how_to_log_in(
        self, program: Program, name: str, word: str
    ) -> None:
        put(program, name)
        program.environment["STANDIN_LOGGED_OUT"] = "1"
        program.file("maverick.yaml", f"agents: {{default: {{provider: {name}}}}}")

        ended = program.run("doctor", "--json")

        assert 1 == ended.code
        ((status, message),) = found(ended, "agents")
        assert ("wrong", True) == (status, message.endswith("nobody is logged in"))
        assert word in next(row["advice"] for row in ended.json if row["area"] == "agents")

    def test_agents_of_one_program_are_looked_at_once(self, program: Program) -> None:
        put(program, "claude")
        program.file(
            "maverick.yaml",
            "agents: {default: {provider: claude}, implementer: {provider: claude}, "
            "code_reviewer: {provider: claude, model: opus}}",
        )

        assert [
            "default, implementer: claude 2.1.332: somebody is logged in",
            "code_reviewer: claude 2.1.332: somebody is logged in",
        ] == [message for _, message in found(program.run("doctor", "--json"), "agents")]

    def test_deep_asks_each_for_a_word(self, program: Program, tmp_path: Path) -> None:
        put(program, "claude")
        (tmp_path / "script.json").write_text(json.dumps([{"text": "ready"}]))
        program.file("maverick.yaml", "agents: {default: {provider: claude}}")

        ended = program.run("doctor", "--deep", "--json")

        ((status, message),) = found(ended, "agents")
        assert ("ok", True) == (status, "claude 2.1.332: answered in " in message)
        (call,) = (tmp_path / "calls.jsonl").read_text().splitlines()
        assert "Answer with the word ready" in call
        assert not (program.root / ".maverick").exists()

    def test_deep_says_why_one_does_not_answer(self, program: Program, tmp_path: Path) -> None:
        put(program, "claude")
        (tmp_path / "script.json").write_text(json.dumps([{"status": 401, "message": "bad key"}]))
        program.file("maverick.yaml", "agents: {default: {provider: claude}}")

        ended = program.run("doctor", "--deep", "--json")

        assert 1 == ended.code
        ((status, message),) = found(ended, "agents")
        assert ("wrong", True) == (status, "bad key" in message)

    def test_no_credential_is_printed(self, program: Program) -> None:
        """Whatever a program says of its login."""
        script(program, "claude", f"echo 2.0.1 {TOKEN}; echo {TOKEN} >&2; exit $#")
        script(program, "gh", f"echo gh version 2.50.0; echo Token: {TOKEN}; exit 0")
        program.environment["ANTHROPIC_API_KEY"] = TOKEN
        program.file("maverick.yaml", "agents: {default: {provider: claude}}")

        ended = program.run("doctor")

        assert TOKEN not in ended.out + ended.err

    def test_one_that_never_answers_delays_nothing_but_its_own_line(self, program: Program) -> None:
        """It is stopped, with what it started."""
        sources = program.own_sources()
        checks = sources / "views" / "health" / "checks.py"
        checks.write_text(
            checks.read_text().replace("PROBE_SECONDS: Final = 20.0", "PROBE_SECONDS: Final = 0.3")
        )
        script(program, "claude", "exec /bin/sleep 600")
        program.file("maverick.yaml", "agents: {default: {provider: claude}}")

        ended = program.run("doctor", "--json")

        assert [("warning", "default: claude did not say its version within 0 s")] == found(
            ended, "agents"
        )

    def test_an_interruption_ends_it_at_once(self, program: Program) -> None:
        script(program, "claude", f'echo > "{program.mark}"; exec /bin/sleep 600')
        program.file("maverick.yaml", "agents: {default: {provider: claude}}")

        ended = program.begin("doctor").wait_for(program.mark).signal(signal.SIGINT).end()

        assert 130 == ended.code
        assert "interrupted by SIGINT" in ended.err


class TestGit:
    def test_who_commits_has_a_name(self, program: Program) -> None:
        program.environment.pop("GIT_AUTHOR_NAME")
        program.environment.pop("GIT_AUTHOR_EMAIL")

        assert (
            "warning",
            "user.name and user.email not set, so nothing can be committed",
        ) in found(program.run("doctor", "--json"), "git")

    def test_without_git_it_is_a_warning(self, program: Program) -> None:
        (Path(program.environment["PATH"]) / "git").unlink()

        assert [("warning", "the program `git` is not on PATH")] == found(
            program.run("doctor", "--json"), "git"
        )

    def test_gh_is_needed_where_the_project_is_on_github(
        self, program: Program, tmp_path: Path
    ) -> None:
        program.file("maverick.yaml", "github: {repo: ada/engine}")

        without = program.run("doctor", "--json")
        put(program, "gh")
        with_it = program.run("doctor", "--json")
        (tmp_path / "trouble").write_text("logged-out")
        logged_out = program.run("doctor", "--json")

        assert [("warning", "not on PATH, and ada/engine is on GitHub")] == found(without, "gh")
        assert [("ok", "2.40.1; somebody is logged in")] == found(with_it, "gh")
        assert [("wrong", "2.40.1; nobody is logged in, and ada/engine is on GitHub")] == found(
            logged_out, "gh"
        )

    def test_a_gh_that_says_no_version_is_told_so(self, program: Program) -> None:
        script(program, "gh", "exit 1")

        ended = program.run("doctor", "--json")

        assert [("ok", "its version is not known; nobody is logged in")] == found(ended, "gh")

    def test_an_old_gh_is_told(self, program: Program) -> None:
        script(program, "gh", "echo gh version 2.4.0; exit 0")
        program.file("maverick.yaml", "github: {repo: ada/engine}")

        assert [("warning", "2.4.0 is too old")] == found(program.run("doctor", "--json"), "gh")


class TestConfiguration:
    def test_a_key_that_nothing_reads_is_wrong(self, program: Program) -> None:
        program.file("maverick.yaml", "agent: {default: {provider: claude}}\nlog: false\n")

        ended = program.run("doctor", "--json")

        assert 1 == ended.code
        one, two = found(ended, "configuration")
        assert [] == found(ended, "workflows")
        assert ("wrong", "wrong") == (one[0], two[0])
        assert "unknown field `agent` in maverick.yaml" in one[1]
        assert "unknown field `log` in maverick.yaml" in two[1]

    def test_an_agent_that_no_workflow_names_is_told(self, program: Program) -> None:
        put(program, "claude")
        program.file(
            "maverick.yaml",
            "agents: {default: {provider: claude}, implementor: {provider: claude}, "
            "implementer: {provider: claude}, mine: {provider: claude}, other: {provider: claude}, "
            "commit_message: {provider: none}, picked: {provider: claude}}",
        )
        own(
            program,
            """
            inputs: {who: {type: string, default: other, choices: [other, picked]}}
            steps:
              - {name: a, type: agent, agent: mine}
              - {name: b, type: agent, agent: "${{ inputs.who }}"}
            """,
        )

        program.file(".maverick/agents/mine.md", "Do it.")
        program.file(".maverick/agents/yours.md", "Do it.")

        assert [
            ("warning", "no workflow names the agent `implementor` of maverick.yaml"),
            ("warning", "no workflow names the agent `yours` of .maverick/agents/yours.md"),
        ] == found(program.run("doctor", "--json"), "configuration")

    def test_secrets_are_set_and_long_enough(self, program: Program) -> None:
        program.file("maverick.yaml", "secrets: [GONE, SHORT, GOOD]")
        program.environment |= {"SHORT": "1234567", "GOOD": "12345678"}

        ended = program.run("doctor", "--json")

        assert [
            ("warning", "the secret GONE is not set"),
            ("wrong", "the secret SHORT has less than 8 characters, so no run starts"),
        ] == found(ended, "configuration")
        assert "1234567" not in ended.out

    def test_modules_of_actions_can_be_imported(self, program: Program) -> None:
        """What they print does not come between."""
        program.file("maverick.yaml", "actions: [good, bad]")
        program.file("good.py", "print('hello')")
        program.file("bad.py", "import no_such_module")

        ((status, message),) = found(program.run("doctor", "--json"), "configuration")

        assert ("wrong", True) == (status, "no_such_module" in message)

    def test_workflows_with_problems_are_named(self, program: Program) -> None:
        own(program, "- {name: a, type: shel, run: x}")

        ended = program.run("doctor")

        assert 1 == ended.code
        assert ".maverick/workflows/own.yaml:" in ended.out
        assert "`maverick workflow check .maverick/workflows/own.yaml`" in ended.out


class TestStore:
    def test_counts_runs(self, program: Program) -> None:
        program.flow("- {name: a, type: checkpoint}")
        program.run("run", "flow.yaml")

        assert [("ok", "1 run; `maverick checkpoint fsck --read-data` reads all of it")] == found(
            program.run("doctor", "--json"), "store"
        )

    def test_a_torn_ref_is_wrong(self, program: Program) -> None:
        program.flow("- {name: a, type: checkpoint}")
        program.run("run", "flow.yaml")
        (ref,) = (program.root / ".maverick" / "checkpoints" / "refs").iterdir()
        ref.write_bytes(ref.read_bytes()[:-9])

        ended = program.run("doctor", "--json")

        assert 1 == ended.code
        assert ["wrong"] == [status for status, _ in found(ended, "store")]

    def test_a_store_without_its_format_is_wrong_and_the_rest_is_looked_at(
        self, program: Program
    ) -> None:
        program.flow("- {name: a, type: checkpoint}")
        program.run("run", "flow.yaml")
        (program.root / ".maverick" / "checkpoints" / "format.json").unlink()

        ended = program.run("doctor", "--json")

        assert (1, "wrong", "ok") == (ended.code, statuses(ended)["store"], statuses(ended)["git"])

    def test_what_was_set_aside_is_told(self, program: Program) -> None:
        store = Store.create(program.root / ".maverick" / "checkpoints", clock=lambda: 1)
        (store.root / "quarantine" / "x.pack").write_text("x")

        assert ("warning", "fsck has set aside x.pack") in found(
            program.run("doctor", "--json"), "store"
        )


class TestOutside:
    def test_a_folder_that_is_no_project(self, program: Program, tmp_path: Path) -> None:
        os.unlink(program.root / "maverick.yaml")  # noqa: PTH108

        ended = program.run("doctor", "--json")

        assert 0 == ended.code
        ((status, message),) = found(ended, "project")
        assert ("warning", True) == (
            status,
            message.endswith("has none of maverick.yaml, .maverick, .git"),
        )
        assert not (program.root / ".maverick").exists()

    def test_a_store_that_leads_out_of_the_project(self, program: Program, tmp_path: Path) -> None:
        """The project is refused; programs are looked at all the same."""
        (program.root / ".maverick").symlink_to(tmp_path)

        ended = program.run("doctor", "--json")

        assert (1, "wrong", "ok") == (
            ended.code,
            statuses(ended)["project"],
            statuses(ended)["git"],
        )
