from pathlib import Path

import pytest

from kit.repositories import Repository


@pytest.fixture
def empty(tmp_path: Path) -> Repository:
    """A repository without a commit."""
    (tmp_path / "project").mkdir()
    repository = Repository(tmp_path / "project")
    repository.git("init", "-q")
    return repository


@pytest.fixture
def repository(empty: Repository) -> Repository:
    """A repository with one commit on main."""
    empty.commit("README.md", "hello\n", "first")
    return empty


@pytest.fixture
def remote(repository: Repository, tmp_path: Path) -> Repository:
    """A bare repository that is `origin` of *repository*, with its main."""
    (tmp_path / "remote").mkdir()
    bare = Repository(tmp_path / "remote")
    bare.git("init", "-q", "--bare")
    repository.git("remote", "add", "origin", bare.cwd)
    repository.git("push", "-q", "-u", "origin", "main")
    return bare


@pytest.fixture
def colleague(remote: Repository, tmp_path: Path) -> Repository:
    """Somebody else's clone of *remote*."""
    Repository(tmp_path).git("clone", "-q", remote.cwd, "colleague")
    return Repository(tmp_path / "colleague")
