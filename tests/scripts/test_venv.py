"""`scripts/venv`: it installs what is locked, once; what is not so any more is made again; a
failure is one line.

The Python that it is given is a script that plays `venv` and `pip`: nothing is fetched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = r"""#!/usr/bin/env bash
case "$*" in
  "-c "*) echo "Python $(cat "$PLAY/version")"; [ ! -e "$PLAY/too-old" ]; exit ;;
  "-m venv "*)
    echo venv >>"$PLAY/calls"
    [ ! -e "$PLAY/no-venv" ] || { echo "No module named venv"; exit 1; }
    mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
    ;;
  "-I -m pip check") echo check >>"$PLAY/calls" ;;
  "-I -m pip "*)
    echo "${*: -1}" >>"$PLAY/calls"
    [ ! -e "$PLAY/kill" ] || kill -KILL "$PPID"
    [ ! -e "$PLAY/says" ] || { cat "$PLAY/says"; exit 1; }
    ;;
esac
"""


class Setup:
    """A clone in *folder*, and the Python that plays."""

    def __init__(self, folder: Path) -> None:
        self.play = folder / "play"
        self.clone = folder / "clone"
        for made in (self.play, self.clone / "scripts", self.clone / "requirements"):
            made.mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "venv", self.clone / "scripts")
        for name in ("run", "dev", "bench", "oldest"):
            (self.clone / "requirements" / f"{name}.txt").write_text(f"{name}==1\n")
        (self.clone / "pyproject.toml").write_text("[project]\n")
        self.python = self.play / "python"
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)
        self.tell("version", "3.12.1")

    def tell(self, name: str, text: str = "") -> None:
        """Have the playing Python find a file of that name."""
        (self.play / name).write_text(text)

    def run(self, *kind: str, python: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        return subprocess.run(
            ["bash", self.clone / "scripts" / "venv", *kind],
            env={
                "PATH": os.environ["PATH"],
                "PYTHON": str(python or self.python),
                "PLAY": str(self.play),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self, *kind: str) -> list[str]:
        """Run the script; give the last word of each command that it ran."""
        (self.play / "calls").write_text("")
        done = self.run(*kind)
        assert 0 == done.returncode, done.stderr
        return (self.play / "calls").read_text().split()


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_what_is_installed_is_not_installed_again(setup: Setup) -> None:
    assert ["venv", "requirements/dev.txt", ".", "check"] == setup.calls("dev")
    assert [] == setup.calls("dev")
    assert [] == setup.calls()


def test_tools_come_to_what_is_there(setup: Setup) -> None:
    assert ["venv", "requirements/run.txt", ".", "check"] == setup.calls()
    assert ["requirements/dev.txt", ".", "check"] == setup.calls("dev")


@pytest.mark.parametrize("kind", ["bench", "oldest"])
def test_other_environments_do_not_disturb(setup: Setup, kind: str) -> None:
    setup.calls("dev")

    assert ["venv", f"requirements/{kind}.txt", ".", "check"] == setup.calls(kind)
    assert [] == setup.calls("dev")
    assert [] == setup.calls(kind)


def test_the_newest_is_looked_for_each_time(setup: Setup) -> None:
    """News that only the first run could bring would come to others first."""
    setup.calls("dev")

    assert ["venv", "pip>=25.1", "dev", "check"] == setup.calls("unlocked")
    assert ["pip>=25.1", "dev", "check"] == setup.calls("unlocked")
    assert [] == setup.calls("dev")


def test_another_lock_makes_the_environment_anew(setup: Setup) -> None:
    """What the old one held and the new one does not must be gone."""
    setup.calls("dev")
    (setup.clone / "requirements" / "dev.txt").write_text("dev==2\n")

    assert ["venv", "requirements/dev.txt", ".", "check"] == setup.calls("dev")


def test_another_python_makes_the_environment_anew(setup: Setup) -> None:
    setup.calls("dev")
    setup.tell("version", "3.13.0")

    assert ["venv", "requirements/dev.txt", ".", "check"] == setup.calls("dev")


def test_a_clone_that_was_moved_makes_the_environment_anew(setup: Setup) -> None:
    """Its scripts name the old place."""
    setup.calls("dev")
    setup.clone = setup.clone.rename(setup.clone.with_name("moved"))

    assert ["venv", "requirements/dev.txt", ".", "check"] == setup.calls("dev")


def test_another_pyproject_installs_the_project_alone(setup: Setup) -> None:
    setup.calls("dev")
    (setup.clone / "pyproject.toml").write_text("[project]\nname = 'x'\n")

    assert [".", "check"] == setup.calls()
    assert [] == setup.calls("dev")


@pytest.mark.parametrize("kind", ["run", "dev", "oldest", "unlocked"])
def test_an_installation_that_was_interrupted_is_made_again(setup: Setup, kind: str) -> None:
    setup.tell("kill")
    assert 0 != setup.run(kind).returncode
    (setup.play / "kill").unlink()

    assert "venv" == setup.calls(kind)[0]


def test_an_interrupted_change_is_made_again_though_it_was_taken_back(setup: Setup) -> None:
    """Half of what the other lock names may be there."""
    lock = setup.clone / "requirements" / "dev.txt"
    setup.calls("run")
    setup.tell("kill")
    setup.run("dev")
    (setup.play / "kill").unlink()

    assert "venv" == setup.calls("run")[0]
    assert lock.read_text() not in (setup.clone / ".venv" / "locked").read_text()


def failure(setup: Setup, *kind: str) -> list[str]:
    """The lines of a failure."""
    done = setup.run(*kind)
    assert (1, "") == (done.returncode, done.stdout)
    return [
        line for line in done.stderr.splitlines() if not line.startswith(("making ", "installing "))
    ]


def test_a_python_that_is_too_old_is_one_line(setup: Setup) -> None:
    setup.tell("version", "3.10.13")
    setup.tell("too-old")

    expected = (
        f"maverick needs Python 3.11 or newer; `{setup.python}` is Python 3.10.13. "
        f"Install one and name it: PYTHON=python3.12 {setup.clone}/scripts/venv dev"
    )
    assert [expected] == failure(setup, "dev")


def test_a_python_that_is_not_there_is_one_line(setup: Setup) -> None:
    done = setup.run(python=setup.play / "none")

    assert 1 == done.returncode
    assert f"`{setup.play}/none` is not there, or does not start." in done.stderr
    assert 1 == len(done.stderr.splitlines())


def test_a_python_without_venv_says_which_package_has_it(setup: Setup) -> None:
    setup.tell("no-venv")

    expected = (
        f"`{setup.python} -m venv` cannot make an environment here. "
        "On Debian and Ubuntu the module is a package of its own: sudo apt-get install python3-venv"
    )
    assert [expected, "  No module named venv"] == failure(setup)
    assert not (setup.clone / ".venv").exists()


SAYS = {
    "another hash": (
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    "
            "six==1.17.0:\n"
        ),
        "The package index gives another file than requirements/dev.txt names.",
        True,
    ),
    "no network": (
        (
            "WARNING: Retrying (Retry(total=0)): /simple/six/\nERROR: No matching distribution found "
            "for six==1.17.0\n"
        ),
        "pip does not reach its package index for six==1.17.0;",
        False,
    ),
    "another Python": (
        "ERROR: No matching distribution found for six==1.17.0\n",
        "requirements/dev.txt names no ready-built six for Python 3.12.1 on ",
        False,
    ),
    "a full disk": ("ERROR: [Errno 28] No space left on device\n", "The disk is full: ", False),
    "anything else": (
        "WARNING: no matter\nERROR: no luck\n",
        "pip cannot install into .venv; it says:",
        True,
    ),
}


@pytest.mark.parametrize("case", SAYS)
def test_a_failure_begins_with_one_line_that_says_what_it_is(setup: Setup, case: str) -> None:
    """What pip says follows only where it says more."""
    said, expected, helps = SAYS[case]
    setup.tell("says", said)

    lines = failure(setup, "dev")

    assert lines[0].startswith(expected)
    told = [f"  {line}" for line in said.splitlines() if not line.startswith("WARNING")]
    assert (told if helps else []) == lines[1:]
    assert "making .venv" in setup.run("dev").stderr, "what failed counts as installed"


def test_an_unknown_environment_is_a_usage_error(setup: Setup) -> None:
    done = setup.run("devel")

    assert 2 == done.returncode
    assert (
        "there is no environment `devel`; choose run, dev, bench, oldest or unlocked" in done.stderr
    )
