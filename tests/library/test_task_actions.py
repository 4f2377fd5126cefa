import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maverick.errors import StepFailed
from maverick.library.actions import tasks
from maverick.library.actions.messages import log_dry_run, log_message
from maverick.library.actions.tasks import Task, get_phase_names, get_phases

FILE = """\
# Tasks

- [ ] stands in no phase

## Phase 1: Set up

Some words.

- [x] Create the package
  - [ ] with a licence
* [X] Another bullet
1. [ ] A numbered one

### Notes

```markdown
## Phase 9: an example, not a phase
```

## Interlude

- [ ] stands in no phase either

## Phase 2 - Build ##

- [x] `build.py`
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks.md").write_text(FILE, "utf-8")
    return tmp_path


def test_phases_have_their_items_and_their_text(folder: Path) -> None:
    first, second = get_phases(cwd=str(folder))

    assert (1, "Phase 1: Set up", "Set up", False) == (
        first.number,
        first.name,
        first.title,
        first.done,
    )
    assert [
        Task(text="Create the package", done=True),
        Task(text="with a licence", done=False),
        Task(text="Another bullet", done=True),
        Task(text="A numbered one", done=False),
    ] == first.tasks
    assert first.text.startswith("## Phase 1: Set up\n\nSome words.")
    assert first.text.endswith("an example, not a phase\n```")
    assert (2, "Phase 2 - Build", "Build", True) == (
        second.number,
        second.name,
        second.title,
        second.done,
    )


def test_done_phases_can_be_left_out(folder: Path) -> None:
    assert ["Phase 1: Set up"] == [
        phase.name for phase in get_phases(pending_only=True, cwd=str(folder))
    ]


def test_names_are_those_of_all_phases(folder: Path) -> None:
    assert ["Phase 1: Set up", "Phase 2 - Build"] == get_phase_names(cwd=str(folder))


def test_the_branchs_own_file_comes_first(folder: Path) -> None:
    own = folder / "specs" / "feature" / "x" / "tasks.md"
    own.parent.mkdir(parents=True)
    own.write_text("## Phase A\n- [ ] a\n", "utf-8")

    assert ["specs/feature/x/tasks.md"] == [
        p.file for p in get_phases(branch_name="feature/x", cwd=str(folder))
    ]
    assert "tasks.md" == get_phases(branch_name="other", cwd=str(folder))[0].file


@pytest.mark.parametrize(
    ("headings", "numbers"),
    [
        (["Phase 3: a", "Phase 5: b"], [3, 5]),
        (["Phase 0: a", "Phase 1: b"], [0, 1]),
        (["Phase 1: a", "Phase 1: b"], [1, 2]),
        (["Phase 2: a", "Phase: b"], [1, 2]),
        (["Phase a", "phase b"], [1, 2]),
    ],
)
def test_numbers_are_unique(tmp_path: Path, headings: list[str], numbers: list[int]) -> None:
    """A label is made of them."""
    (tmp_path / "tasks.md").write_text(
        "".join(f"## {heading}\n- [ ] x\n" for heading in headings), "utf-8"
    )

    assert numbers == [phase.number for phase in get_phases(cwd=str(tmp_path))]


def test_windows_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "tasks.md").write_bytes("\ufeff## Phase 1: Größe\r\n\r\n- [ ] x\r\n".encode())

    [phase] = get_phases(cwd=str(tmp_path))

    assert ("Größe", [Task(text="x", done=False)]) == (phase.title, phase.tasks)


def test_a_missing_file_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(StepFailed) as caught:
        get_phases(branch_name="parser", cwd=str(tmp_path))

    assert f"looked for specs/parser/tasks.md and tasks.md in {tmp_path}" in str(caught.value)
    assert "## Phase 1: Set up\n\n- [ ] Create the package" in str(caught.value)


def test_a_named_file_is_the_only_one_looked_for(folder: Path) -> None:
    with pytest.raises(StepFailed, match=r"looked for other\.md in"):
        get_phases("other.md", cwd=str(folder))


def test_a_file_without_phases_shows_how_one_looks(tmp_path: Path) -> None:
    (tmp_path / "tasks.md").write_text("# Phase 1\n\n- [ ] x\n", "utf-8")

    with pytest.raises(StepFailed, match=r"(?s)tasks\.md has no phases; .*## Phase 1: Set up"):
        get_phases(cwd=str(tmp_path))


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "tasks.md").write_bytes(b"## Phase 1\n\xff")

    with pytest.raises(StepFailed, match=r"tasks\.md is no UTF-8 text"):
        get_phases(cwd=str(tmp_path))


@given(
    st.lists(
        st.sampled_from(
            ["## Phase 1", "## Other", "- [ ] x", "- [x]", "```", "~~~~", "# T", "", "text"]
        )
    )
)
def test_every_phase_line_belongs_to_one_phase(lines: list[str]) -> None:
    """No line of a phase is lost or doubled, whatever stands around it."""
    phases = tasks._parse("\n".join(lines), "tasks.md")

    inside = [line for phase in phases for line in phase.text.splitlines()]
    assert all(phase.text.startswith("## Phase 1") for phase in phases)
    assert len(inside) <= len(lines)
    assert len({phase.number for phase in phases}) == len(phases)


def test_messages_are_logged_and_given(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="maverick.workflow"):
        message = log_message("100% done", "warning")
        dry = log_dry_run("push", ["main", "work"])

    assert ("100% done", "warning") == (message.message, message.level)
    assert (["main", "work"], True) == (dry.details, dry.dry_run)
    assert ["100% done", "dry run, would push; main; work"] == [
        r.getMessage() for r in caplog.records
    ]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(StepFailed, match="no level 'loud'; there are debug, info"):
        log_message("x", "loud")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line", ["## a" + " " * 200_000 + "x", "## Phase " + "# " * 100_000, "- [ ] " + " " * 200_000]
)
def test_a_hostile_line_costs_no_more_than_its_length(tmp_path: Path, line: str) -> None:
    """An agent may have written it; the square of its length would be hours that nothing can
    stop.
    """
    (tmp_path / "tasks.md").write_text(f"## Phase 1: One ##\n{line}\n- [ ] Do it\n")

    assert "Phase 1: One" == get_phase_names(cwd=str(tmp_path))[0]
