"""What surrounds a test: the machine's programs, a home of its own, and a git without settings but
an identity.

Whatever else stands in the environment, the home, the temporary folder or the system's git settings
changes nothing. `python3` is the one of this process, without a detour: pyenv takes longer to find
one than that takes to start.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from itertools import count
from pathlib import Path

_KEPT = {"PATH", "TMPDIR", "USER", "LOGNAME", "SHELL", "CI", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"}
_KEPT_BEGINNINGS = ("PYTEST_", "HYPOTHESIS_", "COVERAGE_")
_OF_BROWSERS = {"MAVERICK_CHROMIUM", "MAVERICK_SCREENSHOTS"}
_GIT = "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
PLAIN_GIT = {"GIT_CONFIG_NOSYSTEM": "1"}
"""For the environment of a process that is given one: the system's git settings are none of ours.
"""


class Surroundings:
    """A folder with the homes of a session's tests; takes the environment of this process in
    hand.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="maverick-homes-"))
        self._numbers = count()
        settings = self.folder / "gitconfig"
        settings.write_text(_GIT)
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in _KEPT | _OF_BROWSERS or name.startswith(_KEPT_BEGINNINGS)
        }
        home = str(self.new_home())
        (programs := self.folder / "bin").mkdir()
        (programs / "python3").symlink_to(Path(sys.executable).resolve())
        kept["PATH"] = f"{programs}{os.pathsep}{kept['PATH']}"
        os.environ.clear()
        os.environ.update(
            kept, **PLAIN_GIT, HOME=home, LANG="C.UTF-8", GIT_CONFIG_GLOBAL=str(settings)
        )

    def new_home(self) -> Path:
        """Make an empty folder that no other test uses."""
        home = self.folder / f"home-{next(self._numbers)}"
        home.mkdir()
        return home

    def remove(self) -> None:
        """Remove the homes."""
        shutil.rmtree(self.folder, ignore_errors=True)
