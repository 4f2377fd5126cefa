"""`checkpoint export` and `checkpoint import`: a run goes on in another project."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

import pytest

from kit.pages import surroundings
from kit.program import Ended, Program, Quick
from kit.screens import Session
from maverick.checkpoints import Store, existing, exports
from maverick.checkpoints.objects.ids import ObjectKind, tree_id
from maverick.checkpoints.objects.pack_records import NewObject
from maverick.checkpoints.trees.tree_nodes import NO_OBJECT, Entry, LeafNode, encode_node

FLOW = """
    inputs: {name: {type: string, default: World}}
    steps:
      - {name: greet, type: shell, run: 'echo "hello $NAME"', env: {NAME: "${{ inputs.name }}"}}
      - {name: half, type: checkpoint}
      - {name: last, type: shell, run: "test -e ready && echo ${{ quote(steps.greet.output.value) }}"}
    outputs: ${{ steps.last.output.value }}
    """


def _run(project: Program, *args: str) -> Ended:
    """Run a command in the folder of *project*, in this process."""
    with chdir(project.root):
        return Quick(project)(*args)


@pytest.fixture
def exported(program: Program) -> Path:
    """A run that failed at `last`, in a file."""
    program.flow(FLOW)
    _run(program, "run", "flow.yaml", "--quiet", "-i", "name=Ada")
    done = _run(program, "checkpoint", "export", "@latest", "../run.maverick", "--json")
    assert 0 == done.code, done.err
    assert ["run", "checkpoint", "file", "objects", "bytes"] == list(done.json)
    return program.root.parent / "run.maverick"


def test_an_imported_run_is_resumed_in_another_project(exported: Path, tmp_path: Path) -> None:
    """Without the workflow's file: the recorded text is used, and that is said."""
    other = Program(tmp_path / "other")
    imported = _run(other, "checkpoint", "import", str(exported), "--json").json
    other.file("ready", "")

    done = _run(other, *imported["resume"].split()[1:], "--json")

    assert (0, "hello Ada") == (done.code, done.json["output"])
    assert {"ran": 1, "recalled": 2, "skipped": 0, "failed": 0, "reused": 0} == done.json["steps"]
    assert "flow.yaml is gone; its text as the run recorded it is used" in done.err
    assert 0 == _run(other, "checkpoint", "show", f"{imported['run']}@half").code


@pytest.mark.parametrize("plan", [["--plan"], []])
def test_a_problem_of_a_recorded_text_comes_after_what_it_stands_in(
    program: Program, tmp_path: Path, plan: list[str]
) -> None:
    """It names a line of a file that is not there: the stage was the other project's."""
    program.file("maverick.yaml", "validation: {stages: {mine: 'true'}}\n")
    program.flow("- {name: a, type: validate, stages: [mine]}\n- {name: b, run: 'false'}")
    _run(program, "run", "flow.yaml", "--quiet")
    assert 0 == _run(program, "checkpoint", "export", "@latest", "../run.maverick").code
    other = Program(tmp_path / "other")
    file = str(program.root.parent / "run.maverick")
    run = _run(other, "checkpoint", "import", file, "--json").json["run"]

    refused = _run(other, "resume", run, *plan)

    gone = refused.err.index("flow.yaml is gone; its text as the run recorded it is used")
    assert gone < refused.err.index("unknown validation stage"), refused.err


def test_a_hyphen_is_standard_output_and_input(exported: Path, program: Program) -> None:
    """A run goes through a pipe, and no file called `-` is left."""
    (program.root.parent / "other" / ".maverick").mkdir(parents=True)

    piped = program.shell(
        "maverick checkpoint export @latest - | maverick -C ../other checkpoint import -"
    )

    assert 0 == piped.code, piped.err
    assert _run(program, "runs", "--json").json[0]["run"] == piped.out.splitlines()[0]
    assert not (program.root / "-").exists()
    assert 2 == _run(program, "checkpoint", "export", "@latest", "-", "--json").code
    session = Session(program.root, surroundings(program.root.parent / "home"), 100, 40)
    refused = session.type("maverick checkpoint export @latest -")
    session.end()
    assert (2, True) == (session.code, "a run is no text for a terminal" in refused)


KEEPING = """
    checkpoints: {workspace: label}
    steps:
      - {name: make, type: shell, run: "mkdir -p src; echo made > src/made; ln -s made src/link; chmod +x run.sh"}
      - {name: half, type: checkpoint}
      - {name: break, type: shell, run: "echo half > src/made; test -e ../ready && cat src/made run.sh"}
    outputs: ${{ steps.break.output.stdout }}
    """


def test_an_imported_run_is_resumed_with_its_files(program: Program, tmp_path: Path) -> None:
    """The whole project comes along as the run last kept it; what was there before can be brought
    back.
    """
    program.file("run.sh", "echo run\n")
    program.flow(KEEPING)
    assert 1 == _run(program, "run", "flow.yaml", "--quiet").code
    assert 0 == _run(program, "checkpoint", "export", "@latest", "../run.maverick").code
    (tmp_path / "away").mkdir()
    other = Program(tmp_path / "away" / "other")
    other.file("mine", "my own\n")
    other.file("../ready", "")
    imported = _run(
        other, "checkpoint", "import", str(program.root.parent / "run.maverick"), "--json"
    ).json

    planned = _run(
        other, *imported["resume"].split()[1:], "--workspace", "restore", "--plan", "--json"
    ).json["files"]
    done = _run(other, *imported["resume"].split()[1:], "--workspace", "restore", "--json")

    assert {"flow.yaml", "run.sh", "src/made", "src/link"} == {
        it["path"] for it in planned["changes"] if it["change"] == "added"
    }
    assert ["mine"] == [it["path"] for it in planned["changes"] if it["change"] == "removed"]
    assert (0, "half\necho run\n") == (done.code, done.json["output"]), done.err
    assert ("made", 0o755) == (
        str((other.root / "src/link").readlink()),
        (other.root / "run.sh").stat().st_mode & 0o777,
    )
    assert not (other.root / "mine").exists()
    assert 0 == _run(other, "checkpoint", "undo", "--yes").code
    assert "my own\n" == (other.root / "mine").read_text()


def test_it_prints_the_run_and_how_to_go_on(exported: Path, program: Program) -> None:
    done = _run(program, "checkpoint", "import", str(exported), "--as", "copy")

    assert (0, "copy\nmaverick run --resume=copy\n", "") == (done.code, done.out, done.err)


def test_a_damaged_file_and_none_are_refused(exported: Path, program: Program) -> None:
    (program.root / "cut").write_bytes(exported.read_bytes()[:-30])

    damaged = _run(program, "checkpoint", "import", "cut", "--as", "cut")
    none = _run(program, "checkpoint", "import", "flow.yaml")

    damage = (
        "error: cut is damaged: it is cut off, or its end is altered; nothing was imported, "
        "export the run again\n"
    )
    assert (20, damage) == (damaged.code, damaged.err)
    assert (2, "error: flow.yaml is no file that `maverick checkpoint export` wrote\n") == (
        none.code,
        none.err,
    )


def test_a_file_that_is_refused_makes_no_store(exported: Path, tmp_path: Path) -> None:
    """Nothing tells afterwards that somebody has tried."""
    other = Program(tmp_path / "other")
    exported.write_bytes(exported.read_bytes()[:-1])

    assert 20 == _run(other, "checkpoint", "import", str(exported)).code

    assert not (other.root / ".maverick").exists()


def test_a_run_goes_to_and_fro_under_one_name(exported: Path, program: Program) -> None:
    """Each time the command says what became of it; exit 0."""
    other = Program(program.root.parent / "other")
    other.file("ready", "")
    run = _run(other, "checkpoint", "import", str(exported), "--json").json["run"]
    assert 0 == _run(other, "run", f"--resume={run}").code
    again = _run(other, "checkpoint", "export", run, str(exported), "--force", "--json")

    forward = _run(program, "checkpoint", "import", str(exported))
    same = _run(program, "checkpoint", "import", str(exported), "--json")

    assert (0, 0, 0) == (again.code, forward.code, same.code)
    assert (f"{run}\n", f"{run} was here at 4; it is moved forward to 6\n") == (
        forward.out,
        forward.err,
    )
    assert {"run": run, "checkpoint": again.json["checkpoint"], "resume": None} == same.json
    assert f"{run} is here already, as in the file; nothing was changed\n" == same.err
    assert (0, "hello Ada\n") == (
        (shown := _run(program, "checkpoint", "show", f"{run}:output")).code,
        shown.out,
    )


def test_a_file_that_is_older_changes_nothing(exported: Path, program: Program) -> None:
    program.file("ready", "")
    assert 0 == _run(program, "run", "flow.yaml", "--resume").code

    done = _run(program, "checkpoint", "import", str(exported))

    assert 0 == done.code
    assert "is further on here, at 6; the file has it at 4; nothing was changed" in done.err


def test_a_run_that_went_on_in_two_places_is_exit_12(exported: Path, program: Program) -> None:
    other = Program(program.root.parent / "other")
    run = _run(other, "checkpoint", "import", str(exported), "--json").json["run"]
    for project in (program, other):
        project.file("ready", "")
        assert 0 == _run(project, "run", f"--resume={run}").code
    assert 0 == _run(other, "checkpoint", "export", run, str(exported), "--force").code

    refused = _run(program, "checkpoint", "import", str(exported))
    beside = _run(program, "checkpoint", "import", str(exported), "--as", "theirs")

    assert (12, 0) == (refused.code, beside.code)
    assert "went on in two places" in refused.err
    assert "--as NAME" in refused.err


def test_what_nobody_could_restore_is_refused_and_taken_if_told(
    program: Program, tmp_path: Path
) -> None:
    """Twelve folders with ten names each, one in the other: some kilobytes."""
    there = Store.create(tmp_path / "store")
    entry = Entry("note", NO_OBJECT, 0, "040000")
    for _ in range(12):
        data = encode_node(LeafNode({f"n{number}": entry for number in range(10)}))
        there.objects.write([NewObject(ObjectKind.TREE, tree_id(data), data)])
        entry = Entry("tree", tree_id(data), 0)
    bomb = there.save("bomb", {("workspace",): existing(entry)}, parent=None, kind="final")
    exports.export(there, bomb, tmp_path / "bomb")

    refused = _run(program, "checkpoint", "import", str(tmp_path / "bomb"))
    taken = _run(program, "checkpoint", "import", str(tmp_path / "bomb"), "--any-size")

    assert (2, True) == (
        refused.code,
        refused.last_line.endswith("; --any-size takes it all the same"),
    )
    assert (0, "bomb\n", "") == (taken.code, taken.out, taken.err)


def test_an_export_replaces_no_file(exported: Path, program: Program) -> None:
    done = _run(program, "checkpoint", "export", "@latest", str(exported))

    assert (
        2,
        f"error: {exported} exists already; choose another name, or replace it: --force\n",
    ) == (
        done.code,
        done.err,
    )


def test_files_that_a_resumption_lacks_are_named_with_the_command_that_brings_them(
    tmp_path: Path,
) -> None:
    """In an empty folder the actions of the run are not there: import says so, and so do a plan and
    the refusal.
    """
    program, other = Program(tmp_path / "here"), Program(tmp_path / "there")
    program.file("tools.py", "def work():\n    return 'worked'\n")
    program.flow("""
    checkpoints: {workspace: label}
    steps:
      - {name: half, type: checkpoint}
      - {name: wait, type: shell, run: test -e ../ready}
      - {name: last, type: python, action: 'tools:work'}
    outputs: ${{ steps.last.output }}
    """)
    assert 1 == _run(program, "run", "flow.yaml", "--quiet").code
    assert (
        0 == _run(program, "checkpoint", "export", "@latest", str(tmp_path / "run.maverick")).code
    )
    (tmp_path / "ready").touch()

    imported = _run(other, "checkpoint", "import", str(tmp_path / "run.maverick"))
    run, resume = imported.out.splitlines()
    refused = [_run(other, *resume.split()[1:], *words) for words in ([], ["--plan"])]

    command = f"maverick checkpoint restore {run}@half"
    assert imported.err.strip().endswith(command)
    assert [(3, True)] * 2 == [(done.code, command in done.err) for done in refused]
    assert 0 == _run(other, *command.split()[1:], "--yes").code
    assert "worked\n" == _run(other, *resume.split()[1:]).out
