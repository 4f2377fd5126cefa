"""Real git repositories for tests."""

import subprocess
from pathlib import Path


class Repository:
    """A git repository in a folder, spoken to as a person would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cwd = str(folder)

    def git(self, *args: str) -> str:
        done = subprocess.run(
            ["git", *args], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, name: str, text: str = "text\n") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def commit(self, name: str, text: str = "text\n", message: str = "a commit") -> str:
        self.write(name, text)
        self.git("add", "--", name)
        self.git("commit", "-m", message)
        return self.git("rev-parse", "HEAD")

    def subjects(self, revision: str = "HEAD") -> list[str]:
        return self.git("log", "--format=%s", revision).splitlines()
