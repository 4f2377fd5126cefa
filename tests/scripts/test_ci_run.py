"""`.ci/run` opens pages in the Chromium that is there, and installs one only where none is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = '#!/bin/sh\necho "${0##*/} $*" >> "$PLAY"\n'


@pytest.mark.parametrize(
    ("name", "installs"),
    [("chromium", False), ("google-chrome-stable", False), ("firefox", True)],
)
def test_one_chromium_of_any_name_is_enough(tmp_path: Path, name: str, installs: bool) -> None:
    clone, programs, play = tmp_path / "clone", tmp_path / "programs", tmp_path / "play"
    for script in ("scripts/check", "scripts/test"):
        _write(clone / script)
    for program in ("apt-get", name):
        _write(programs / program)
    _write(programs / "id", "#!/bin/sh\necho 0\n")
    for program in ("bash", "dirname", "sh"):
        found = shutil.which(program)
        assert found
        (programs / program).symlink_to(found)
    (clone / ".ci").mkdir()
    shutil.copy2(ROOT / ".ci" / "run", clone / ".ci")

    subprocess.run(
        [shutil.which("bash") or "bash", str(clone / ".ci" / "run")],
        env={"PATH": str(programs), "PLAY": str(play)},
        check=True,
    )

    said = play.read_text().splitlines()
    assert ["check ", "test ", "test --browser"] == [it for it in said if "apt" not in it]
    assert installs == any(it.startswith("apt-get install") for it in said)


def _write(path: Path, text: str = SCRIPT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
