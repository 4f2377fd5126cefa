"""Completion in bash, zsh and fish: what is offered, and that the shells take it."""

from __future__ import annotations

import importlib.util
import os
import pty
import select
import shlex
import shutil
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.patience import PATIENCE_SECONDS
from kit.program import Program
from maverick.cli.completion.command_line import kinds_of, split_line
from maverick.cli.completion.offers import escaped

ROOT = Path(__file__).parents[2]
BREAKS = " \t\n\"'@><=;|&(:"
"""What begins a word for bash."""
HOSTILE = "a $(touch pwned); `touch pwned` & 'b"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A project with two workflows of its own, and two runs."""
    program = Program(tmp_path_factory.mktemp("original") / "project")
    program.file(
        ".maverick/workflows/hello.yaml",
        """
        version: "1.0"
        name: hello
        inputs:
          who: {type: string, default: you, description: Whom to greet}
          how: {type: string, choices: [softly, loudly], default: softly}
          twice: {type: boolean, default: false}
          agent: {type: string, default: ""}
        steps:
          - {name: greet, run: echo hello}
          - {name: mark, type: checkpoint, checkpoint_id: "half way"}
          - name: each
            for_each: [1, 2]
            steps: [{name: say, run: echo}]
        """,
    )
    program.file(
        ".maverick/workflows/hostile.yaml",
        f"""
        version: "1.0"
        name: hostile
        steps:
          - {{name: mark, type: checkpoint, checkpoint_id: {HOSTILE!r}}}
        """.replace(repr(HOSTILE), '"' + HOSTILE + '"'),
    )
    for name in ("hello", "hostile"):
        done = program.run("run", name, "--run-id", f"{name}-one")
        assert 0 == done.code, done.err
    return program


@pytest.fixture
def project(original: Program, program: Program) -> Program:
    program.copy_of(original)
    return program


def offered(program: Program, line: str, **environment: str) -> list[str]:
    """What bash is offered at the end of *line*, the way first."""
    done = program.run(
        _MAVERICK_COMPLETE="bash",
        COMP_LINE=line,
        COMP_POINT=str(len(line.encode())),
        COMP_WORDBREAKS=BREAKS,
        **environment,
    )
    assert (0, "") == (done.code, done.err)
    return done.out.splitlines()


OFFERS = {
    "maverick workf": ["words", "workflow"],
    "maverick workflow ": ["words", "list", "show", "check"],
    "maverick checkpoint re": ["words", "restore"],
    "maverick run h": ["words", "hello", "hostile"],
    "maverick -C . run h": ["words", "hello", "hostile"],
    "maverick run hello --as": ["words", "--as-recorded"],
    "maverick run hello -i w": ["more", "who="],
    "maverick run hello -i how=": ["words", "softly", "loudly"],
    "maverick run hello -i how=l": ["words", "loudly"],
    "maverick run hello -i twice=": ["words", "true", "false"],
    "maverick run hello -i agent=i": ["words", "implementer", "issue_fixer"],
    "maverick resume hello-one -i w": ["more", "who="],
    "maverick run hello --from ": [
        "words",
        "greet",
        "mark",
        "each",
        r"each\[0\].say",
        r"each\[1\].say",
    ],
    "maverick run --resume=hello-one --from e": [
        "words",
        "each",
        r"each\[0\].say",
        r"each\[1\].say",
    ],
    "maverick show hello-one g": ["words", "greet"],
    "maverick show h": ["words", "hostile-one", "hello-one"],
    "maverick show one": ["words", "hostile-one", "hello-one"],
    "maverick show hello@": ["words", "@latest", r"@half\ way"],
    "maverick show hello-one@h": ["words", r"@half\ way"],
    "maverick show 'hello@h": ["words", "hello@half way"],
    "maverick show nobody@": ["words"],
    "maverick show m": ["words", "mark"],
    "maverick why m": ["words", "mark"],
    "maverick runs --status ": ["words", "running", "paused", "failed", "killed", "done"],
    "maverick checkpoint list --status=k": ["words", "killed"],
    "maverick logs --stream ": ["words", "both", "stdout", "stderr"],
    "maverick logs --stream=std": ["words", "stdout", "stderr"],
    "maverick new x --from p": ["words", "python"],
    "maverick --show-completion ": ["words", "bash", "zsh", "fish"],
    "maverick run ./": ["files"],
    "maverick run hello --inputs ": ["files"],
    "maverick -C ": ["folders"],
    "maverick run hello --attempt": ["words"],
    "maverick nosuch ": ["words"],
    "maverick fly --branch": ["words", "--branch-name"],
    "/some/where/maverick run hello -- ": ["words"],
}


def test_what_is_offered(project: Program) -> None:
    """One project for all lines: making it takes longer than asking."""
    assert OFFERS == {line: offered(project, line) for line in OFFERS}


def test_what_can_go_on_is_offered_to_go_on(project: Program) -> None:
    """What is done only where nothing else is meant, or a step of it is to run again."""
    project.file("stops.yaml", 'version: "1.0"\nname: stops\nsteps: [{name: a, run: exit 1}]\n')
    assert 1 == project.run("run", "stops.yaml", "--run-id", "stops-one").code
    offers = {
        "maverick resume ": ["words", "stops-one"],
        "maverick resume h": ["words", "hostile-one", "hello-one"],
        "maverick resume --from mark ": ["words", "stops-one", "hostile-one", "hello-one"],
        "maverick run stops.yaml --resume=": ["words", "auto", "stops-one"],
        "maverick run hello --resume ": ["words", "auto"],
        "maverick run hello --resume=h": ["words", "hello-one"],
        "maverick run --resume=": ["words", "stops-one"],
        "maverick fly --resume=": ["words", "auto"],
        "maverick logs ": ["words", "stops-one", "hostile-one", "hello-one", "a"],
    }

    assert offers == {line: offered(project, line) for line in offers}


def test_files_of_workflows_stand_beside_their_names(project: Program) -> None:
    project.flow("- {name: a, run: x}", "here")

    assert ["words", "hello", "hostile", "here.yaml"] == offered(project, "maverick run h")


def test_all_agree_where_nothing_is_known(tmp_path: Path) -> None:
    """No project, no store, a damaged file: nothing is offered, and nothing is told."""
    program = Program(tmp_path / "project")

    assert ["words"] == offered(program, "maverick show ")
    assert ["words"] == offered(program, "maverick show x@")
    assert not (program.root / ".maverick").exists()
    program.file("maverick.yaml", "agents: [")
    program.file(".maverick/workflows/broken.yaml", "name: broken\nsteps: [")
    program.file(".maverick/checkpoints/format.json", "{")
    assert ["words"] == offered(program, "maverick show ")
    assert ["words", "broken"] == offered(program, "maverick run bro")
    assert ["words"] == offered(program, "maverick run broken -i ")


def test_neither_typer_nor_the_engine_is_loaded(project: Program) -> None:
    """A person waits for it at every key."""
    code = (
        "import sys, atexit; from maverick.__main__ import main; sys.argv = ['maverick']; main(); "
        "print(*sorted(n for n in sys.modules if n in "
        "('typer', 'yaml', 'rich', 'jinja2', 'asyncio') or n.startswith('maverick.dsl.engine')))"
    )
    environment = {"_MAVERICK_COMPLETE": "bash", "COMP_LINE": "maverick run h", "COMP_POINT": "14"}
    quoted = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())

    done = project.shell(f"{quoted} {shlex.quote(sys.executable)} -c {shlex.quote(code)}")

    assert "words\nhello\nhostile\n\n" == done.out, done.err


# --- names that are kept ---------------------------------------------------------------------------


def test_names_are_kept_by_time_and_size(project: Program) -> None:
    """A thousand large files are not read at each key."""
    cache = project.root / ".maverick/checkpoints/cache/completion.json"
    file = project.root / ".maverick/workflows/hello.yaml"
    offered(project, "maverick run h")
    before = file.stat()

    file.write_text(file.read_text().replace("name: hello", "name: holla"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    same = offered(project, "maverick run h")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    later = offered(project, "maverick run h")

    assert cache.exists()
    assert ["words", "hello", "hostile"] == same
    assert ["words", "holla", "hostile"] == later


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', "\x00"])
def test_kept_names_that_are_damaged_are_read_anew(project: Program, content: str) -> None:
    cache = project.root / ".maverick/checkpoints/cache/completion.json"
    offered(project, "maverick run h")
    cache.write_text(content)

    assert ["words", "hello", "hostile"] == offered(project, "maverick run h")
    assert ["more", "who="] == offered(project, "maverick run hello -i w")
    assert "hello" in cache.read_text()


def test_kept_inputs_follow_the_file(project: Program) -> None:
    first = offered(project, "maverick run hello -i w")
    project.file(
        ".maverick/workflows/hello.yaml",
        'version: "1.0"\nname: hello\ninputs: {where: {type: string}}\nsteps: [{name: a, run: x}]\n',
    )

    assert ["more", "who="] == first
    assert ["more", "where="] == offered(project, "maverick run hello -i w")


# --- the table --------------------------------------------------------------------------------------


def test_the_table_of_commands_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("cli_docs", ROOT / "scripts" / "cli_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    table = (ROOT / "src/maverick/cli/completion/commands.tsv").read_text("utf-8")

    assert module.table() == table, "run `make docs`"


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ("[RUN|REV]", ("RUN", "REV")),
        ("REV[:PATH]", ("REV:PATH",)),
        ("RUN...", ("RUN",)),
        ("both|stdout|stderr", ("both", "stdout", "stderr")),
        ("", ()),
    ],
)
def test_values_are_known_by_what_the_help_calls_them(value: str, kinds: tuple[str, ...]) -> None:
    assert kinds == kinds_of(value)


# --- words of a shell -------------------------------------------------------------------------------


@given(st.lists(st.text(st.characters(exclude_characters="\0\n")), max_size=5))
def test_a_line_is_split_as_a_shell_splits_it(words: list[str]) -> None:
    line = f"{shlex.join(words)} "

    assert words == split_line(line, BREAKS).words
    assert words == split_line(" ".join(map(quoted, words)) + " ", BREAKS).words


def quoted(word: str) -> str:
    return escaped(word) or "''"


@given(st.text(st.characters(exclude_characters="\0\n"), min_size=1))
def test_what_is_offered_is_one_word_for_a_shell(word: str) -> None:
    assert [word] == shlex.split(escaped(word))


# --- the shells themselves --------------------------------------------------------------------------

TYPED = {
    "maverick workfl\tli\t": ["workflow", "list"],
    "maverick run hel\t-i wh\tAda": ["run", "hello", "-i", "who=Ada"],
    "maverick run hello -i how=l\t": ["run", "hello", "-i", "how=loudly"],
    "maverick show hello-\tgr\t": ["show", "hello-one", "greet"],
    "maverick show hello@h\t": ["show", "hello@half way"],
    "maverick show hostile-one@a\t": ["show", f"hostile-one@{HOSTILE}"],
    "maverick logs --stream=stdo\t": ["logs", "--stream=stdout"],
    "maverick run hello --inputs only\t": ["run", "hello", "--inputs", "only-this.json"],
}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_what_is_typed(project: Program, shell: str) -> None:
    """The real shell, at a terminal, after `--install-completion`: keys go in, and what the program
    is then called with comes out. Nothing of a name is obeyed.
    """
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here: apt-get install {shell}")
    called = project.root / "called"
    program = project.root.parent / "bin" / "maverick"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ -n "$_MAVERICK_COMPLETE" ] && exec "{sys.executable}" -m maverick "$@"\n'
        f'printf "%s\\n" "$@" > "{called}.part" && mv "{called}.part" "{called}"\n'
    )
    program.chmod(0o755)
    project.file("only-this.json", "{}")
    home = Path(project.environment["HOME"])
    home.mkdir()
    project.environment["PATH"] = f"{program.parent}:{project.environment['PATH']}"
    assert 0 == project.run("--install-completion", shell).code

    with_shell = _Shell(shell, project)
    try:
        got = {keys: with_shell.called_by(keys, called) for keys in TYPED}
    finally:
        with_shell.end()

    assert TYPED == got
    assert not (project.root / "pwned").exists()


class _Shell:
    """An interactive shell at a terminal of its own."""

    def __init__(self, shell: str, project: Program) -> None:
        self.seen = b""
        self._pid, self._terminal = pty.fork()
        if not self._pid:
            os.chdir(project.root)
            os.execvpe(
                shell,
                [shell, "-i"],
                {
                    **project.environment,
                    "TERM": "dumb" if shell != "bash" else "xterm",
                    "SHELL": shell,
                },
            )

    def called_by(self, keys: str, called: Path) -> list[str]:
        """Type *keys* and Enter, and give what the program was called with."""
        called.unlink(missing_ok=True)
        os.write(self._terminal, f"{keys}\n".encode())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not called.exists():
            assert time.monotonic() < deadline, self.seen.decode(errors="replace")
            if select.select([self._terminal], [], [], 0.02)[0]:
                self.seen += os.read(self._terminal, 65536)
        return called.read_text().splitlines()

    def end(self) -> None:
        os.close(self._terminal)  # The shell is hung up on.
        os.waitpid(self._pid, 0)


# --- installing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shell", "script", "loader"),
    [
        ("bash", ".local/share/maverick/completion.bash", ".bashrc"),
        ("zsh", ".local/share/maverick/completion.zsh", ".zshrc"),
        ("fish", ".config/fish/completions/maverick.fish", ""),
    ],
)
def test_installing_twice_is_installing_once(
    tmp_path: Path, shell: str, script: str, loader: str
) -> None:
    program = Program(tmp_path / "project")
    home = tmp_path / "home"
    home.mkdir()
    if loader:
        (home / loader).write_text("alias x=y")

    shown = program.run("--show-completion", shell)
    first = program.run("--install-completion", SHELL=f"/bin/{shell}")
    second = program.run("--install-completion", shell)

    assert (0, 0, 0) == (shown.code, first.code, second.code), first.err
    assert shown.out == (home / script).read_text()
    assert f"wrote {home / script}" in first.err
    if loader:
        assert f"added a line to {home / loader}" in first.err
        assert f"added a line to {home / loader}" not in second.err
        assert ["alias x=y", f". {home / script}  # completion of maverick"] == (
            home / loader
        ).read_text().splitlines()


def test_an_unknown_shell_and_a_missing_home_are_told(tmp_path: Path) -> None:
    program = Program(tmp_path / "project")

    unknown = program.run("--show-completion", "tcsh")
    unnamed = program.run("--install-completion", SHELL="")
    homeless = program.run("--install-completion", "bash", HOME="")

    assert (2, True) == (
        unknown.code,
        "no completion for 'tcsh'; name one of bash, zsh, fish" in unknown.err,
    )
    assert (2, True) == (unnamed.code, "SHELL does not name a shell" in unnamed.err)
    assert (2, True) == (homeless.code, "HOME is not set" in homeless.err)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    program = Program(tmp_path / "project")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".local").write_text("a file")

    done = program.run("--install-completion", "bash")

    assert 1 == done.code
    assert "cannot install the completion: " in done.err
