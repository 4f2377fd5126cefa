"""What other packages may use of the store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import maverick.checkpoints
from maverick.checkpoints import Store


def test_all_is_the_public_surface() -> None:
    """Each name is there although it is loaded late, and nothing else offers itself."""
    names = [name for name in maverick.checkpoints.__all__ if hasattr(maverick.checkpoints, name)]

    assert maverick.checkpoints.__all__ == names
    assert sorted(names) == dir(maverick.checkpoints)
    assert not hasattr(maverick.checkpoints, "nothing")


@pytest.mark.parametrize(
    "module",
    [
        "asyncio",
        "pydantic",
        "typer",
        "rich",
        "yaml",
        "concurrent.futures",
        "backports.zstd",
        "difflib",
    ],
)
def test_opening_a_store_and_listing_runs_imports_little(tmp_path: Path, module: str) -> None:
    """Light commands answer at once."""
    Store.create(tmp_path / "checkpoints")
    code = (
        "import sys; from pathlib import Path; from maverick.checkpoints import Store\n"
        f"Store.open(Path({str(tmp_path / 'checkpoints')!r})).refs()\n"
        f"sys.exit({module!r} in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    assert (
        0 == subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode
    )


def test_a_new_store_is_private_and_ignored(tmp_path: Path) -> None:
    """It holds outputs; and it must never end up in the project's commits."""
    store = Store.create(tmp_path / ".maverick" / "checkpoints")

    assert {0o700} == {
        path.stat().st_mode & 0o777 for path in (store.root, *store.root.iterdir()) if path.is_dir()
    }
    assert "*\n" == (store.root / ".gitignore").read_text()
    assert {0o600} == {
        path.stat().st_mode & 0o777 for path in store.root.rglob("*") if path.is_file()
    }
