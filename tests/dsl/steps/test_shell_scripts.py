"""What a shell step's script is given, and in what form: its file, standard input, environment, and
shell.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.program import Program
from kit.runs import Execution, Runs
from maverick.dsl.processes.processes import Processes
from maverick.dsl.steps.scripts import _input
from maverick.values import Value

LONG = "head -c 200000 /dev/zero | tr '\\0' y"


def _value(runs: Runs, step: str) -> Value:
    return _output(_done(runs, f"- {{name: a, type: shell, {step}}}"))["value"]


def _done(runs: Runs, flow: str, **inputs: Value) -> Execution:
    runs.flow(flow)
    done = runs.start(**inputs)
    assert "done" == done.status, done.error
    return done


def _output(done: Execution) -> dict[str, Value]:
    assert isinstance(done.output, dict)
    return done.output


# --- the script -----------------------------------------------------------------------------------


def test_a_script_stands_in_a_file_that_nobody_else_can_read_and_that_is_removed(
    runs: Runs,
) -> None:
    """Outside of the project."""
    script = (
        "import os, sys; [print(oct(os.stat(it).st_mode)[-3:], it) for it in (sys.argv[0], "
        "sys.path[0])]"
    )
    told = _value(runs, f"shell: python3, run: {json.dumps(script)}, parse: lines")

    assert isinstance(told, list)
    (mode, file), (folder_mode, folder) = (str(line).split(" ") for line in told)
    assert ("600", "700", Path(folder)) == (mode, folder_mode, Path(file).parent)
    assert not Path(folder).exists()
    assert runs.root not in Path(file).parents


def test_a_value_of_any_length_reaches_a_script(runs: Runs) -> None:
    """Linux takes 128 KiB as one argument."""
    done = _done(
        runs,
        f"""
    - {{name: make, type: shell, run: "{LONG.replace(chr(92), chr(92) * 2)}"}}
    - name: a
      type: shell
      run: |
        text=${{{{ quote(steps.make.output.value) }}}}
        echo ${{#text}} $(wc -c)
      stdin: ${{{{ steps.make.output.value }}}}
    """,
    )

    assert "200000 200000" == _output(done)["value"]


@pytest.mark.parametrize(
    ("shell", "script", "said"),
    [
        ("bash -euo pipefail", "no-such", "bash: line 2: no-such: command not found"),
        ("/bin/bash", "no-such", "bash: line 2: no-such: command not found"),
        ("python3", "raise ValueError(3)", 'File "python3", line 2, in <module>'),
    ],
)
def test_errors_name_the_shell_and_the_script_s_line_but_no_file(
    runs: Runs, shell: str, script: str, said: str
) -> None:
    """The outputs of equal runs would differ by a file's name that is another one each time."""
    runs.flow(f'- {{name: a, type: shell, shell: {shell}, run: "# one\\n{script}"}}')

    failed = runs.start()

    assert said in failed.error
    assert said in _said(failed)
    assert "/maverick-" not in failed.error + _said(failed)


def _said(execution: Execution) -> str:
    return "".join(
        str(event.data["text"]) for event in execution.events if event.event == "step_output"
    )


@pytest.mark.parametrize(
    ("shell", "script", "value"),
    [
        ("python3", "import sys; print(sys.argv[1:], __name__, 7)", "[] __main__ 7"),
        ("python3 -P", "print(7)", "7"),
        ("perl -w", "print 7", "7"),
        ("awk -f", "BEGIN { print 7 }", "7"),
        ("[bash, -eu]", "echo $0", "bash"),
        ("/usr/bin/env bash", "echo 7", "7"),
    ],
)
def test_a_shell_is_whatever_runs_a_file(runs: Runs, shell: str, script: str, value: str) -> None:
    """The file is its last argument."""
    assert value == _value(
        runs, f"shell: {json.dumps(shell) if shell[0] != '[' else shell}, run: {json.dumps(script)}"
    )


def test_the_default_shell_is_looked_for_once(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each folder of PATH that does not have it costs a call of the system."""
    asked: list[str] = []
    access = os.access

    def noting(path: str, mode: int) -> bool:
        asked.append(str(path))
        return access(path, mode)

    monkeypatch.setattr(os, "access", noting)
    path = f"{tmp_path / 'empty'}:/usr/bin:/bin"

    _done(runs, f"- {{name: a, type: shell, run: 'true', env: {{PATH: '{path}'}}}}")

    assert 1 == asked.count(str(tmp_path / "empty" / "bash"))


def test_the_script_is_its_file_unless_a_shell_is_named(runs: Runs) -> None:
    """Then `$0` stays that shell, as it is with `-c`."""
    script = """'test -f "$0" && echo "a file" || echo "$0"'"""

    assert ["a file", "sh"] == [
        _value(runs, f"run: {script}{shell}") for shell in ("", ", shell: sh -u")
    ]


def test_python_imports_what_is_in_the_step_s_folder(runs: Runs) -> None:
    """As with `python -c`, although the script's file is elsewhere."""
    runs.file("tools/numbers_here.py", "SEVEN = 7\n")

    assert "7" == _value(
        runs, "shell: python3, cwd: tools, run: 'import numbers_here; print(numbers_here.SEVEN)'"
    )


def test_a_script_that_holds_a_nul_is_refused(runs: Runs) -> None:
    """A shell would run it without; its file may be taken for a program."""
    runs.flow("- {name: a, type: shell, run: \"echo a\\nrm -r ${{ 'a\\0b' }}\"}")

    assert "step a: the script holds a NUL character, in its line 2" in runs.start().error


# --- standard input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("text\n", "text\n"),
        ("${{ {'a': [1, 'é']} }}", '{"a": [1, "é"]}'),
        ("${{ 'é' }}", "é"),
        ("${{ [1] }}", "[1]"),
        ("${{ true }}", "true"),
        ("${{ 1.5 }}", "1.5"),
        ("${{ null }}", "null"),
        ({"a": ["${{ 1 }}"]}, '{"a": [1]}'),
        (7, "7"),
        (None, ""),
    ],
)
def test_stdin_is_text_as_it_is_or_json(runs: Runs, given: object, read: str) -> None:
    done = _done(runs, f"- {{name: a, type: shell, run: cat, stdin: {json.dumps(given)}}}")

    assert read == _output(done)["stdout"]


@given(st.binary())
def test_stdin_takes_bytes_as_they_are(data: bytes) -> None:
    assert data == _input(data)


def test_a_script_reads_its_own_standard_input(runs: Runs) -> None:
    """The shell reads the script from its file, and leaves the rest to the script."""
    assert ["a", "b c"] == _value(
        runs, "run: 'read x; echo $x; cat', stdin: \"a\\nb c\", parse: lines"
    )


def test_another_input_makes_the_step_run_again_and_another_grace_does_not(runs: Runs) -> None:
    """What a step is given is part of its key; how it is stopped is not."""
    runs.flow("""
    - {name: a, type: shell, run: cat, stdin: one, grace: 1s}
    - {name: b, type: python, action: fail, args: [b]}
    """)
    runs.start()

    runs.edit("grace: 1s", "grace: 2s")
    assert ["b"] == runs.resume().executed
    runs.edit("stdin: one", "stdin: two")
    assert ["a", "b"] == runs.resume(policy="rerun").executed


# --- the environment ------------------------------------------------------------------------------


def test_null_takes_a_variable_away(runs: Runs) -> None:
    """An expression that comes to null stays an empty text, as in texts."""
    runs.environment |= {"GONE": "1", "EMPTY": "1"}

    told = _value(
        runs,
        "env: {GONE: null, EMPTY: \"${{ null }}\"}, run: 'echo ${GONE-unset} ${EMPTY-unset}.', "
        "parse: text",
    )

    assert "unset ." == told


def test_a_value_that_the_environment_cannot_hold_is_named_with_the_way_out(runs: Runs) -> None:
    """`Argument list too long` says neither which nor what to do."""
    runs.flow(f"""
    - {{name: make, type: shell, run: "{LONG.replace(chr(92), chr(92) * 2)}"}}
    - {{name: a, type: shell, run: "true", env: {{SHORT: x,
        DIFF: "${{{{ steps.make.output.value }}}}"}}}}
    """)

    error = runs.start().error

    assert "the environment cannot hold the variable DIFF (200,000 bytes" in error
    assert "`stdin: ${{ … }}`" in error


def test_a_variable_with_a_nul_is_named(runs: Runs) -> None:
    runs.flow("- {name: a, type: shell, run: 'true', env: {BAD: \"${{ 'a\\0b' }}\"}}")

    assert "the variable BAD of the environment holds a NUL character" in runs.start().error


def test_texts_are_utf_8_whatever_the_locale(program: Program) -> None:
    """A script, a variable, a folder, what was inherited; and a file's name that is no UTF-8 comes
    back as it was.
    """
    (program.root / "füße").mkdir()
    (program.root / os.fsdecode(b"odd-\xff")).touch()
    program.flow("""
    steps:
      - name: a
        type: shell
        cwd: füße
        env: {GIVEN: "✓é", ODD: "${{ glob('odd*')[0] }}"}
        run: |
          test "$(basename "$PWD")" = füße && test -e "../$ODD" && test -e ../${{ quote(glob('odd*')[0]) }}
          echo "✓ é $GIVEN $INHERITED" ${{ quote(env.INHERITED) }} | od -An -tx1 | tr -d ' \\n'
    outputs: ${{ steps.a.output.value }}
    """)

    done = program.run(
        "run", "flow.yaml", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", INHERITED="ü"
    )

    assert ("✓ é ✓é ü ü\n".encode().hex(), 0) == (done.out.strip(), done.code), done.err


# --- output ---------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """A limit of 100,000 bytes of output."""
    monkeypatch.setitem(Processes.run.__kwdefaults__, "limit", 100_000)
    return 100_000


FLOOD = "head -c 300000 /dev/zero | tr '\\\\0' x"


def test_a_flood_keeps_its_end_and_changes_nothing_else(runs: Runs, small: int) -> None:
    """A build that chats for long is no failure."""
    done = _done(runs, f'- {{name: a, type: shell, run: "{FLOOD}; echo the end; echo err >&2"}}')

    output = _output(done)
    stdout = str(output["stdout"])
    assert (small, True, 0, "err\n") == (
        len(stdout),
        output["truncated"],
        output["exit_code"],
        output["stderr"],
    )
    assert "xthe end" == str(output["value"])[-8:]
    assert ["its standard output had more than 16 MiB, of which the end is kept"] == done.notices


def test_output_that_is_whole_says_nothing_of_it(runs: Runs) -> None:
    assert {"stdout", "stderr", "exit_code", "value"} == set(
        _output(_done(runs, "- {name: a, type: shell, run: ls}"))
    )


def test_a_flood_that_fails_fails_with_its_exit_code_and_reason(runs: Runs, small: int) -> None:
    runs.flow(f'- {{name: a, type: shell, run: "{FLOOD}; echo no foo.h >&2; exit 7"}}')

    error = runs.start().error

    assert "exit code 7" in error
    assert "no foo.h" in error


@pytest.mark.parametrize("parse", ["json", "lines"])
def test_only_what_needs_all_of_standard_output_fails_without_it(
    runs: Runs, small: int, parse: str
) -> None:
    runs.flow(f'- {{name: a, type: shell, parse: {parse}, run: "{FLOOD}"}}')
    assert f"parse: {parse} needs all of the output" in runs.start().error

    done = _done(
        runs, f"""- {{name: a, type: shell, parse: {parse}, run: "{FLOOD} >&2; echo 1"}}"""
    )
    assert True is _output(done)["truncated"]


def test_lines_end_at_line_feeds_only(runs: Runs) -> None:
    """A file's name may hold U+2028, and a progress bar carriage returns."""
    (runs.root / "script").write_bytes(
        "printf 'one\u2028two\\f.txt\\r\\n10%%\\r20%%\\nlast\\r'".encode()
    )

    assert ["one\u2028two\f.txt", "10%\r20%", "last\r"] == _value(
        runs, "run: sh script, parse: lines"
    )


def test_a_pipe_that_broke_is_explained(runs: Runs) -> None:
    """`exit code 141` says nothing to most, and standard output does not hold the reason."""
    runs.flow("- {name: a, type: shell, run: 'yes | head -1'}")

    assert "exit code 141 (SIGPIPE: the command after a `|` stopped reading" in runs.start().error


# --- how long, and how it ends --------------------------------------------------------------------


@pytest.mark.parametrize("timeout", ["30d", "720h", "3650d"])
def test_a_timeout_may_be_of_any_length(runs: Runs, timeout: str) -> None:
    """No call of the system takes 25 days and more."""
    _done(
        runs,
        f"""
    - {{name: a, type: shell, run: "true", timeout: {timeout}}}
    - {{name: b, type: python, action: do, args: [b], timeout: {timeout}}}
    - {{name: c, type: validate, stages: ["true", "sh -c true"], timeout: {timeout}}}
    - {{name: d, type: loop, for_each: [1], timeout: {timeout}, steps: [{{name: e, type: shell,
        run: "true"}}]}}
    """,
    )


def test_a_delay_may_be_too(runs: Runs) -> None:
    """A stop ends it."""
    runs.flow("- {name: a, type: shell, run: 'false', retry: {attempts: 2, delay: 2592000}}")

    assert "paused" == runs.stop_at("a").status


@pytest.mark.parametrize("where", ["step", "config"])
def test_the_grace_is_what_the_step_or_the_project_says(runs: Runs, where: str) -> None:
    """It ignores SIGTERM: with the default it would take ten seconds, with the other value days."""
    runs.file("maverick.yaml", f"processes: {{grace: {0.05 if where == 'config' else '9d'}}}\n")
    grace = ", grace: 0.05" if where == "step" else ""
    runs.flow(
        f"- {{name: a, type: shell, timeout: 0.3{grace}, run: \"trap '' TERM; while :; do sleep "
        '60; done"}'
    )

    assert "timeout of 0.3 s" in runs.start().error


def test_what_a_killed_run_left_in_temporary_files_is_removed_on_resuming(
    program: Program, tmp_path: Path
) -> None:
    """A script holds what is inserted into it."""
    (tmp_path / "tmp").mkdir()
    program.environment["TMPDIR"] = str(tmp_path / "tmp")
    program.flow('- {name: a, type: shell, run: "test -e fixed || { touch $MARK; sleep 600; }"}')
    program.begin("run", "flow.yaml").wait_for(program.mark).signal(9).end()  # type: ignore[arg-type]
    assert 1 == len(list((tmp_path / "tmp").iterdir()))

    program.file("fixed", "")
    resumed = program.run("run", "flow.yaml", "--resume")

    assert (0, []) == (resumed.code, list((tmp_path / "tmp").iterdir())), resumed.err
    assert "stopped what was left of the interrupted run" in resumed.err
