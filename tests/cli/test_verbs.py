"""The verbs at the top: `log`, `diff`, `undo`, `gc` are those of the store, and `resume`."""

from __future__ import annotations

import shlex
import signal

import pytest

from kit.program import Program, Quick
from maverick.cli.commands import ALSO, ORDER

FLOW = """
    - {name: plan, type: shell, run: "echo one"}
    - {name: build, type: shell, run: "test -e fixed; echo built"}
    """


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A project with a done run of `other` and, newer, one of `flow` that failed."""
    program = Program(tmp_path_factory.mktemp("original") / "project")
    program.flow("- {name: alone, type: shell, run: 'true'}", "other")
    program.flow(FLOW)
    program.run("run", "other.yaml")
    program.run("run", "flow.yaml")
    return program


@pytest.fixture
def failed(original: Program, quick: Quick) -> Quick:
    quick.program.copy_of(original)
    return quick


def newest(quick: Quick) -> str:
    return str(quick("runs", "--json").json[0]["run"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["log"],
        ["log", "@latest", "--json"],
        ["log", "nope"],
        ["diff", "@{1}", "@{0}"],
        ["diff", "@{1}", "@{0}", "--json"],
        ["undo"],
        ["undo", "--yes"],
        ["gc", "--dry-run", "--json"],
        ["gc", "--keep-within", "soon"],
        ["log", "--no-such"],
    ],
    ids=" ".join,
)
def test_a_verb_at_the_top_does_what_it_does_in_its_group(
    failed: Quick, arguments: list[str]
) -> None:
    """Byte for byte, but for where its help is."""
    top, group = failed(*arguments), failed("checkpoint", *arguments)

    assert (group.code, group.out) == (top.code, top.out)
    assert group.err.replace("root checkpoint", "root") == top.err


@pytest.mark.parametrize("name", ALSO)
def test_the_help_of_a_verb_has_examples_as_it_is_typed(quick: Quick, name: str) -> None:
    top, group = quick(name, "--help").out, quick("checkpoint", name, "--help").out

    assert f"\n    maverick {name}" in top
    assert f"maverick checkpoint {name}" not in top
    assert f"\n    maverick checkpoint {name}" in group
    assert f"    maverick {name}" not in group


def test_the_list_of_commands_has_what_people_need_first(quick: Quick) -> None:
    """All that `ORDER` has, in its order: the words that people type are answered with these
    names.
    """
    listed = quick("--help").out.partition("Commands:\n")[2].splitlines()

    assert list(ORDER) == [
        line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "
    ]


# --- resume ---------------------------------------------------------------------------------------


def test_resume_takes_the_newest_run_that_is_not_done(failed: Quick) -> None:
    """Whatever workflow it is of, and however many done ones are newer."""
    run = newest(failed)
    failed("run", "other.yaml")
    failed.program.file("fixed", "")

    done = failed("resume", "--json")

    assert (0, run, "flow", "done") == (
        done.code,
        done.json["run"],
        done.json["workflow"],
        done.json["status"],
    )
    assert {"ran": 1, "recalled": 1} == {
        name: done.json["steps"][name] for name in ("ran", "recalled")
    }


@pytest.mark.parametrize("name", ["{end}", "flow@{{0}}", "flow", "@{{1}}"])
def test_resume_takes_the_run_that_is_named(failed: Quick, name: str) -> None:
    run = newest(failed)
    failed("run", "other.yaml")
    failed.program.file("fixed", "")

    done = failed("resume", name.format(end=run[-4:]))

    assert 0 == done.code
    assert "built" in done.out
    assert f"{run} done in" in done.last_line


def test_resume_of_a_done_run_prints_what_it_gave(failed: Quick) -> None:
    """As `run --resume=RUN` does."""
    done = failed("resume", "other@latest", "--json")

    assert (0, "done", 0) == (done.code, done.json["status"], done.json["steps"]["ran"])


def test_resume_takes_the_options_of_run(failed: Quick) -> None:
    """All but those that say which run."""
    plan = failed("resume", "--plan", "--json").json
    assert [("plan", "recall"), ("build", "run")] == [
        (step["step"], step["action"]) for step in plan["steps"]
    ]
    assert 2 == failed("resume", "--rerun", "--as-recorded").code
    assert 0 == failed("resume", "--skip", "build", "--quiet").code

    of_run = set(_options(failed("run", "--help").out))
    assert of_run - set(_options(failed("resume", "--help").out)) == {"--resume", "--run-id"}


def _options(text: str) -> list[str]:
    """The options that a help lists."""
    lines = [line.split() for line in text.splitlines() if line.startswith("  -")]
    return [word.strip(",") for line in lines for word in line[:2] if word.startswith("--")]


def test_resume_without_anything_to_resume_exits_10(quick: Quick) -> None:
    """In no project, and where all is done."""
    assert 10 == quick("resume").code
    quick.program.flow("- {name: alone, type: shell, run: 'true'}")
    quick("run", "flow.yaml")

    done = quick("resume", "--json")

    assert (10, None) == (done.code, done.json["run"])
    assert "all runs are done; `maverick runs` lists them" in done.json["error"]
    assert 10 == quick("resume", "nope").code
    assert 10 == quick("resume", "auto").code


def test_resume_warns_of_runs_that_it_cannot_read(failed: Quick) -> None:
    """One of them may be the one that is meant."""
    run = newest(failed)
    (failed.program.root / ".maverick" / "checkpoints" / "refs" / run).write_bytes(b"torn")

    done = failed("resume")

    assert 10 == done.code
    assert f"warning: the ref of run {run} is torn" in done.err


def test_the_last_line_after_an_interruption_works(program: Program) -> None:
    """It is typed as it stands there, and the run goes on."""
    program.flow("- {name: waits, type: shell, run: 'touch \"$MARK\"; test -e fixed || sleep 60'}")
    running = program.begin("run", "flow.yaml").wait_for(program.mark)
    assert 130 == running.signal(signal.SIGINT).end().code
    program.mark.unlink()

    running = program.begin("-C", str(program.root), "resume").wait_for(program.mark)
    ended = running.signal(signal.SIGINT).end()

    assert 130 == ended.code
    words = shlex.split(ended.last_line)
    assert ["maverick", "-C", str(program.root), "resume"] == words[:-1]
    program.file("fixed", "")
    done = program.run(*words[1:], "--json")
    assert (0, words[-1], "done") == (done.code, done.json["run"], done.json["status"])
