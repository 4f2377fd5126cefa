"""Whose files are taken. Owners are played, so that this means the same whoever runs the tests."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from maverick import repositories
from maverick.errors import StepFailed, UsageError, WorkflowInvalid
from maverick.owners import owners_of
from maverick.project import Project, open_project
from maverick.roots import Location

ME, OWNER, STRANGER = os.geteuid(), 4001, 4002
WORKFLOW = 'version: "1.0"\nname: {}\nsteps: [{{name: a, type: shell, run: "true"}}]\n'
ACTED_ON = (
    "",
    "maverick.yaml",
    ".maverick",
    ".maverick/checkpoints",
    ".maverick/workflows",
    ".maverick/workflows/a.yaml",
    ".maverick/agents",
    ".maverick/agents/coder.md",
    ".maverick/issues",
    ".maverick/issues/1.md",
)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A project with everything that is acted on, and a folder in it."""
    root = tmp_path / "shared"
    for name in (
        "sub",
        ".maverick/checkpoints",
        ".maverick/workflows",
        ".maverick/agents",
        ".maverick/issues",
    ):
        (root / name).mkdir(parents=True)
    (root / "maverick.yaml").touch()
    (root / ".maverick/workflows/a.yaml").write_text(WORKFLOW.format("a"))
    (root / ".maverick/agents/coder.md").write_text("Be brief.")
    (root / ".maverick/issues/1.md").write_text("# One")
    return root


def owned(owners: dict[str, int]) -> Callable[[str], tuple[int, ...]]:
    """Owners by path; what is not named is this user's, if it is there."""
    return lambda path: (owners.get(path, ME),) * bool(owners_of(path))


def opened(place: Location, owners: dict[str, int], **environment: str) -> Project:
    return open_project(
        place, {"HOME": str(place.root.parent / "home"), **environment}, owned(owners)
    )


@pytest.mark.parametrize("name", ACTED_ON)
def test_every_file_that_is_acted_on_counts_by_its_owner(shared: Path, name: str) -> None:
    """Exhaustive: whose it is, where the current folder is and whose, whether everybody may write
    there.
    """
    path = str(shared / name) if name else str(shared)
    for uid, where, here_uid, mode in product(
        (ME, 0, OWNER, STRANGER), ("", "sub"), (ME, OWNER), (0o755, 0o777)
    ):
        shared.chmod(mode)
        place = Location(shared / where if where else shared, shared)
        owners = {str(place.here): here_uid, path: uid} if path != str(place.here) else {path: uid}
        counts = bool(where) or mode == 0o777
        taken = {ME, 0, owners[str(place.here)]}
        if counts and uid not in taken:
            with pytest.raises(UsageError) as refused:
                opened(place, owners)
            assert str(refused.value).startswith(
                f"{path} belongs to uid {uid}, who is neither you nor root"
            )
        else:
            opened(place, owners)


def test_the_message_has_the_way_out_and_it_leads_out(shared: Path) -> None:
    place, owners = Location(shared / "sub", shared), {str(shared / "maverick.yaml"): STRANGER}
    config = shared.parent / "home/.config/maverick/config.yaml"

    with pytest.raises(UsageError) as refused:
        opened(place, owners)

    assert str(refused.value).endswith(f"write `trust: [{shared}]` into {config}")
    config.parent.mkdir(parents=True)
    config.write_text(f"trust: [{shared}]\n")
    assert shared == opened(place, owners).root


def test_in_a_folder_that_everybody_may_write_to_only_the_file_is_advised(shared: Path) -> None:
    """Trusting all of /tmp would be a bad advice."""
    shared.chmod(0o777)

    with pytest.raises(UsageError, match=r"write `trust: \[.*/shared/maverick\.yaml\]`"):
        opened(Location(shared, shared), {str(shared / "maverick.yaml"): STRANGER})


def test_a_link_is_as_good_as_its_owner_and_its_target(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.yaml").write_text(WORKFLOW.format("b"))
    (shared / ".maverick/workflows/b.yaml").symlink_to(tmp_path / "theirs.yaml")
    link = str(shared / ".maverick/workflows/b.yaml")

    for uids in ((STRANGER, ME), (ME, STRANGER)):

        def owners(path: str, uids: tuple[int, ...] = uids) -> tuple[int, ...]:
            return uids if path == link else (ME,) * bool(owners_of(path))

        with pytest.raises(UsageError, match=r"b\.yaml belongs to uid 4002"):
            open_project(Location(shared / "sub", shared), {"HOME": str(tmp_path)}, owners)


def test_what_real_links_belong_to_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")

    assert (ME,) == owners_of(tmp_path / "file") == owners_of(tmp_path / "dangling")
    assert (ME, ME) == owners_of(tmp_path / "link")
    assert () == owners_of(tmp_path / "nowhere")


class TestSudo:
    def test_who_called_it_is_the_user(self, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        place, owners = Location(shared / "sub", shared), {str(shared / "maverick.yaml"): STRANGER}

        assert shared == opened(place, owners, SUDO_UID=str(STRANGER)).root
        for other in ("", "0", "4001", "-1", "²"):
            with pytest.raises(UsageError):
                opened(place, owners, SUDO_UID=other)

    def test_who_is_not_root_was_called_by_nobody(
        self, shared: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The variable may be anybody's then."""
        monkeypatch.setattr(os, "geteuid", lambda: ME or 4000)

        with pytest.raises(UsageError):
            opened(
                Location(shared / "sub", shared),
                {str(shared / "maverick.yaml"): STRANGER, str(shared / "sub"): ME},
                SUDO_UID=str(STRANGER),
            )


class TestNamedRoots:
    def test_naming_a_root_elsewhere_is_going_there(self, shared: Path, tmp_path: Path) -> None:
        """MAVERICK_PROJECT=/src in a container that stands in /: the owner of /src is who
        counts.
        """
        (tmp_path / "elsewhere").mkdir()
        place = Location(tmp_path / "elsewhere", shared, named=True)
        owners = {str(shared): OWNER, str(shared / "maverick.yaml"): OWNER}

        assert shared == opened(place, owners).root
        shared.chmod(0o777)
        assert shared == opened(place, owners).root
        with pytest.raises(UsageError):
            opened(place, {**owners, str(shared / ".maverick"): STRANGER})

    def test_naming_the_root_above_changes_nothing(self, shared: Path) -> None:
        with pytest.raises(UsageError):
            opened(
                Location(shared / "sub", shared, named=True),
                {str(shared / "maverick.yaml"): STRANGER},
            )


class TestLinksOutOfTheProject:
    @pytest.mark.parametrize("name", [".maverick", ".maverick/checkpoints"])
    @pytest.mark.parametrize("there", [True, False])
    def test_they_are_refused_in_any_folder(self, tmp_path: Path, name: str, there: bool) -> None:
        link, target = self._linked(tmp_path, name, there=there)
        place = Location(tmp_path / "p", tmp_path / "p")

        with pytest.raises(UsageError) as refused:
            opened(place, {})

        said = (
            f"{link} is a link that leads out of the project, to {target}; remove it, or if you "
            "trust it, write"
        )
        assert str(refused.value).startswith(said)

    @pytest.mark.parametrize("name", [".maverick", ".maverick/checkpoints"])
    def test_trust_lets_them_lead_out(self, tmp_path: Path, name: str) -> None:
        link, target = self._linked(tmp_path, name, there=True)
        config = tmp_path / "home/.config/maverick/config.yaml"
        config.parent.mkdir(parents=True)
        config.write_text(f"trust: ['{tmp_path}/else']\n")
        place = Location(tmp_path / "p", tmp_path / "p")

        assert tmp_path / "p" == opened(place, {}).root
        target.rmdir()
        with pytest.raises(
            UsageError, match=f"{link} is a link to .*, which is not there; make that folder"
        ):
            opened(place, {})

    @pytest.mark.parametrize("target", ["inside", "nowhere/at/all", "loop"])
    def test_inside_the_project_they_only_have_to_lead_somewhere(
        self, tmp_path: Path, target: str
    ) -> None:
        root = tmp_path / "p"
        (root / "inside").mkdir(parents=True)
        (root / "loop").symlink_to("loop")
        (root / ".maverick").symlink_to(target)

        if target == "inside":
            assert root == opened(Location(root, root), {}).root
            return
        with pytest.raises(UsageError, match=r"\.maverick is a link to .*, which is not there"):
            opened(Location(root, root), {})

    def _linked(self, tmp_path: Path, name: str, *, there: bool) -> tuple[Path, Path]:
        link, target = tmp_path / "p" / name, tmp_path / "else/where"
        link.parent.mkdir(parents=True)
        (target if there else target.parent).mkdir(parents=True)
        link.symlink_to(target)
        return link, target


class TestUserConfig:
    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        path = tmp_path / "config/maverick/config.yaml"
        path.parent.mkdir(parents=True)
        return path

    def open(
        self, shared: Path, config: Path, owners: dict[str, int] | None = None, **environment: str
    ) -> Project:
        everyone = {str(shared / "maverick.yaml"): STRANGER, **(owners or {})}
        where = {
            "XDG_CONFIG_HOME": str(config.parents[1]),
            "HOME": str(shared.parent),
            **environment,
        }
        return open_project(Location(shared / "sub", shared), where, owned(everyone))

    @pytest.mark.parametrize(
        "trust", ["{}", "[{}]", "[/nowhere, '{}/']", "[~/shared]", "['~']", "[{}/maverick.yaml]"]
    )
    def test_trust_covers_what_is_at_and_below_a_path(
        self, shared: Path, config: Path, trust: str
    ) -> None:
        config.write_text(f"trust: {trust.format(shared)}\n")

        assert shared == self.open(shared, config).root

    @pytest.mark.parametrize(
        "trust", ["[{}x]", "[{}/maverick]", "[{}/sub]", "[]", "", "[/nowhere]"]
    )
    def test_it_covers_nothing_else(self, shared: Path, config: Path, trust: str) -> None:
        config.write_text(f"trust: {trust.format(shared)}\n")

        with pytest.raises(UsageError):
            self.open(shared, config)

    @pytest.mark.parametrize(
        ("text", "place", "said"),
        [
            ("trsut: [/a]", ":1:1:", "unknown field `trsut`"),
            ("trust: [/a]\ncolour: no", ":2:1:", "unknown field `colour`"),
            ("trust: [a/b]", ":1:9:", "`trust` must be a list of paths that begin with / or ~"),
            ("trust: [/a, {b: c}]", ":1:13:", "`trust` must be a list of paths"),
            ("trust: [~nosuchuser/a]", ":1:9:", "`trust` must be a list of paths"),
            ("- /a", ":1:1:", "must be a mapping"),
            ("trust: [", ":2:1:", "is not closed"),
        ],
    )
    def test_its_mistakes_are_told_with_their_places(
        self, shared: Path, config: Path, text: str, place: str, said: str
    ) -> None:
        config.write_text(text)

        with pytest.raises(WorkflowInvalid) as invalid:
            self.open(shared, config)

        assert f"{config}{place}" in str(invalid.value)
        assert said in str(invalid.value)

    @pytest.mark.parametrize("text", ["", "# nothing\n", "\n\n"])
    def test_an_empty_one_says_nothing(self, shared: Path, config: Path, text: str) -> None:
        config.write_text(text)

        with pytest.raises(UsageError):
            self.open(shared, config)

    def test_it_is_taken_from_the_user_and_from_root_alone(
        self, shared: Path, config: Path
    ) -> None:
        """Not from the owner of the current folder: he would let himself in."""
        config.write_text(f"trust: [{shared}]\n")

        assert shared == self.open(shared, config, {str(config): 0}).root
        for uid in (STRANGER, OWNER):
            with pytest.raises(
                UsageError, match=f"which belongs to uid {uid}, so that it is not read"
            ):
                self.open(shared, config, {str(config): uid, str(shared / "sub"): OWNER})

    def test_a_relative_folder_of_configuration_does_not_count(
        self, shared: Path, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As the specification of XDG_CONFIG_HOME says."""
        monkeypatch.chdir(config.parents[2])
        config.write_text(f"trust: [{shared}]\n")

        with pytest.raises(UsageError, match=r"into .*/\.config/maverick/config\.yaml"):
            self.open(shared, config, XDG_CONFIG_HOME="config")

    def test_a_user_without_a_home_is_told_to_have_one(
        self, shared: Path, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nobody(_uid: int) -> object:
            raise KeyError

        monkeypatch.setattr("pwd.getpwuid", nobody)

        with pytest.raises(UsageError, match="if you trust it, set HOME"):
            self.open(shared, config, XDG_CONFIG_HOME="", HOME="")


class TestModules:
    """Code of a shared project, whoever names it, is looked at before it runs."""

    @pytest.fixture(autouse=True)
    def _as_before(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "path", sys.path.copy())
        monkeypatch.setattr(sys, "meta_path", sys.meta_path.copy())

    @pytest.fixture
    def module(self, shared: Path) -> str:
        """The name of a module that leaves a trace when it is imported; it is there once in all
        tests.
        """
        name = f"module_{abs(hash(shared)):x}"
        (shared / f"{name}.py").write_text(
            f"open({str(shared / 'trace')!r}, 'w').close()\n\n\ndef act():\n    pass\n"
        )
        return name

    def test_a_strangers_is_not_run(self, shared: Path, module: str) -> None:
        (shared / "maverick.yaml").write_text(f"actions: [{module}]\n")
        catalog = opened(
            Location(shared / "sub", shared), {str(shared / f"{module}.py"): STRANGER}
        ).catalog()

        for name in ("act", f"{module}:act"):
            with pytest.raises(UsageError, match=f"{module}.py belongs to uid 4002"):
                catalog.has("action", name)
        assert not (shared / "trace").exists()

    def test_nor_what_another_one_imports(self, shared: Path, module: str) -> None:
        (shared / f"outer_{module}.py").write_text(f"import {module}\n\n\ndef act():\n    pass\n")
        catalog = opened(
            Location(shared / "sub", shared), {str(shared / f"{module}.py"): STRANGER}
        ).catalog()

        with pytest.raises(UsageError, match=f"{module}.py belongs to uid 4002"):
            catalog.has("action", f"outer_{module}:act")
        assert not (shared / "trace").exists()

    def test_nor_what_is_compiled_already(self, shared: Path, module: str) -> None:
        """Python runs a fitting file in __pycache__ in place of the source."""
        source = shared / f"{module}.py"
        py_compile.compile(str(source))
        compiled = importlib.util.cache_from_source(str(source))
        catalog = opened(Location(shared / "sub", shared), {compiled: STRANGER}).catalog()

        with pytest.raises(UsageError, match="__pycache__"):
            catalog.has("action", f"{module}:act")
        assert not (shared / "trace").exists()

    def test_ones_own_is(self, shared: Path, module: str) -> None:
        catalog = opened(Location(shared / "sub", shared), {}).catalog()

        assert catalog.has("action", f"{module}:act")
        assert (shared / "trace").exists()

    def test_without_a_module_it_is_the_same_failure_as_ever(self, shared: Path) -> None:
        catalog = opened(Location(shared / "sub", shared), {}).catalog()

        with pytest.raises(StepFailed, match="there is no such module"):
            catalog.has("action", "nosuch_module:act")


class TestWorkflowFiles:
    def test_one_that_is_named_is_taken_and_what_it_calls_is_not(self, shared: Path) -> None:
        call = (
            'version: "1.0"\nname: b\nsteps: [{name: c, type: subworkflow, workflow: ./c.yaml}]\n'
        )
        (shared / "b.yaml").write_text(call)
        (shared / "c.yaml").write_text(WORKFLOW.format("c"))
        place, named = Location(shared / "sub", shared), str(shared / "b.yaml")

        owners = {named: STRANGER}
        assert () == opened(place, owners).catalog().check(named).problems
        owners[str(shared / "c.yaml")] = STRANGER
        with pytest.raises(UsageError, match=r"c\.yaml belongs to uid 4002"):
            opened(place, owners).catalog().check(named)


class TestGit:
    """In whose repository maverick's own git works."""

    @pytest.fixture
    def repository(self, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (shared / ".git").mkdir()
        (shared / ".git/HEAD").touch()
        monkeypatch.setattr(repositories, "_safe", {})
        return shared

    def test_in_that_of_a_trusted_project(self, repository: Path) -> None:
        """A container that runs as root in somebody's checkout."""
        owners = {str(repository): OWNER, str(repository / ".git"): OWNER}

        opened(Location(repository, repository), owners)

        assert ["-c", f"safe.directory={repository}"] == repositories.safe_settings()

    @pytest.mark.parametrize("theirs", ["", ".git"])
    def test_not_where_a_stranger_may_have_written_its_settings(
        self, repository: Path, theirs: str
    ) -> None:
        """Settings of git run programs."""
        path = str(repository / theirs) if theirs else str(repository)
        inner = repository / "sub"
        (inner / "maverick.yaml").touch()

        opened(Location(inner, inner), {path: STRANGER})

        assert [] == repositories.safe_settings()

    def test_nor_where_a_file_leads_to_a_strangers(
        self, shared: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(repositories, "_safe", {})
        (shared / ".git").write_text("gitdir: ../theirs\n")
        (shared.parent / "theirs").mkdir()

        opened(Location(shared, shared), {str(shared.parent / "theirs"): STRANGER})
        assert [] == repositories.safe_settings()

        opened(Location(shared, shared), {})
        assert ["-c", f"safe.directory={shared}"] == repositories.safe_settings()

    def test_not_without_one(self, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(repositories, "_safe", {})
        monkeypatch.setattr(repositories, "work_tree_of", lambda _folder: None)

        opened(Location(shared, shared), {})

        assert [] == repositories.safe_settings()
