"""What is not so at the end of a workflow that ships, it says; and it pays for nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.shipped import TASKS, Execution, Workshop
from maverick.library.actions import recognize_failure
from maverick.values import Value

HOPELESS = TASKS + "\n## Phase 4: Afterwards\n\n- [ ] write file-three\n"
"""The second phase breaks what no agent mends; a third one follows it."""


@pytest.fixture
def hopeless(tmp_path: Path) -> Workshop:
    """A project in which validation never passes once it is broken."""
    shop = Workshop(tmp_path)
    config = (shop.root / "maverick.yaml").read_text().replace("whole", "hopeless")
    shop.repository.write("maverick.yaml", config)
    shop.repository.write("tasks.md", HOPELESS)
    shop.repository.git("commit", "-qam", "hopeless")
    return shop


def notices(execution: Execution) -> list[str]:
    """What a person has to know of a run that is done."""
    assert "done" == execution.outcome.status, execution.outcome.error
    return list(execution.outcome.notices)


class TestFly:
    def test_has_nothing_to_add_where_all_is_well(self, tmp_path: Path) -> None:
        assert [] == notices(Workshop(tmp_path).start("fly", branch_name="feature"))

    def test_says_that_validation_never_passed(self, hopeless: Workshop) -> None:
        flown = hopeless.start("fly", branch_name="feature", skip_review="yes")

        assert [
            "validation never passed (hopeless)",
            "the pull request is a draft, since validation never passed",
        ] == notices(flown)
        assert {"validation never passed (hopeless)"} == {
            event.message
            for event in flown.events
            if event.event == "step_done" and event.step in ("work[1].validate", "validate")
        }

    def test_asks_about_a_failure_once_in_all_phases(self, hopeless: Workshop) -> None:
        """Three phases and the end: four validations fail in the same way."""
        flown = hopeless.start("fly", branch_name="feature", skip_review="yes", skip_pr="yes")

        assert 1 == hopeless.agents.count("validation_fixer")
        skipped = [
            event.step
            for event in flown.events
            if event.event == "step_skipped" and event.step.endswith(".fix")
        ]
        assert {
            "work[1].validate.rounds[1].fix",
            "work[2].validate.rounds[0].fix",
            "validate.rounds[0].fix",
        } <= set(skipped)
        assert "hopeless fails as it did before, and an agent was asked about that: not again" in [
            event.message for event in flown.events if event.event == "notice"
        ]

    def test_says_that_nothing_was_pushed(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path, hub=False)
        shop.repository.git("remote", "remove", "origin")

        told = notices(shop.start("fly", branch_name="feature", skip_review="yes"))

        assert "not pushed: no remote" == told[0]
        assert told[1].startswith("create_pr: no pull request on GitHub: there is no `gh`")
        assert told[1].endswith(" .maverick/pull-requests/feature.md")

    def test_says_that_the_agent_changed_nothing(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path)
        shop.repository.write("tasks.md", "## Phase 1: No\n\n- [ ] write file-one refused\n")
        shop.repository.git("commit", "-qam", "refused")

        assert [
            (
                "Phase 1: No: the agent changed nothing; it said: I could not do it: the edit was "
                "refused."
            ),
            "nothing was pushed, reviewed or handed over: feature has no commit that main has not",
        ] == notices(shop.start("fly", branch_name="feature"))

    def test_says_that_the_review_failed(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path)
        script = tmp_path / "agent.sh"
        script.write_text(
            script.read_text().replace("  code_reviewer)\n", "  code_reviewer)\n    exit 7\n")
        )

        (told,) = notices(shop.start("fly", branch_name="feature"))

        assert told.startswith("the review failed: ")

    def test_says_nothing_of_a_dry_run(self, tmp_path: Path) -> None:
        """Nothing was to be done."""
        assert [] == notices(Workshop(tmp_path).start("fly", branch_name="f", dry_run="yes"))

    def test_stops_at_the_first_phase_that_is_invalid(self, hopeless: Workshop) -> None:
        """If it is asked to; and goes on where somebody mended it, or said so."""
        flown = hopeless.start(
            "fly", branch_name="feature", skip_review="yes", stop_when_invalid="yes"
        )

        error = flown.outcome.error or ""
        assert ("failed", "work[1].stop") == (flown.outcome.status, flown.outcome.failed_at)
        assert "Phase 2: Break it: validation did not pass: hopeless (exit 1); correct it" in error
        assert "--from 'work[1].validate'" in error
        assert "--skip 'work[1].stop'" in error
        assert ["implementer", "implementer", "validation_fixer"] == hopeless.agents

    @pytest.mark.parametrize("mended", [True, False])
    def test_goes_on_after_it_stopped(self, hopeless: Workshop, *, mended: bool) -> None:
        hopeless.start("fly", branch_name="feature", skip_review="yes", stop_when_invalid="yes")
        options: dict[str, Value]
        if mended:
            (hopeless.root / "broken").unlink()
            options = {"from_step": "work[1].validate"}
        else:
            options = {"skip": {"work[1].stop": None}}

        resumed = hopeless.resume("fly", **options)

        if mended:
            assert [] == notices(resumed)
        else:
            assert "work[2].stop" == resumed.outcome.failed_at
        assert ["implementer"] * 2 == [name for name in hopeless.agents if name == "implementer"][
            :2
        ]


class TestOthers:
    def test_refuel_names_the_issue_that_failed_and_what_is_wrong_of_others(
        self, tmp_path: Path
    ) -> None:
        shop = Workshop(tmp_path)
        config = (shop.root / "maverick.yaml").read_text().replace("whole", "hopeless")
        shop.repository.write("maverick.yaml", config)
        shop.repository.git("commit", "-qam", "hopeless")
        shop.repository.git("push", "-q")
        shop.issues("easy", "impossible", "refused", "break")

        told = notices(shop.start("refuel"))

        assert told[0].startswith("issue #2 (impossible): failed: ")
        assert [
            (
                'work["3"].process: the agent changed nothing; it said: I could not do it: the edit '
                "was refused."
            ),
            'work["4"].process: validation never passed (hopeless)',
            'work["4"].process: the pull request is a draft',
        ] == told[1:]

    def test_review_says_that_coderabbit_is_missing(self, tmp_path: Path) -> None:
        shop = Workshop(tmp_path)
        shop.repository.git("switch", "-qc", "feature")
        shop.repository.write("file-one")
        shop.repository.git("add", "--all")
        shop.repository.git("commit", "-qm", "one")

        assert ["CodeRabbit did not review: CodeRabbit is not installed"] == notices(
            shop.start("review", include_coderabbit="yes")
        )

    def test_review_says_that_there_was_nothing_to_review(self, tmp_path: Path) -> None:
        assert ["nothing was reviewed, for nothing differs from main"] == notices(
            Workshop(tmp_path).start("review")
        )

    def test_validate_says_what_never_passed(self, hopeless: Workshop) -> None:
        hopeless.repository.write("broken")

        validated = hopeless.start("validate")

        assert ["validation never passed (hopeless)"] == notices(validated)
        assert ["validation_fixer"] == hopeless.agents

    def test_validate_says_that_there_are_no_stages(self, hopeless: Workshop) -> None:
        assert [
            "nothing was validated: there are no stages (validation.stages in maverick.yaml)"
        ] == (notices(hopeless.start("validate", stages=[])))


def _stage(output: str, name: str = "test", code: int = 1) -> dict[str, Value]:
    return {"name": name, "success": False, "exit_code": code, "output": output}


SAME = [
    ("1 failed in 0.12s", "1 failed in 3.4s"),
    ("at 12:30:05.123 it broke", "at 09:00:00 it broke"),
    ("2026-12-01T04:00:00Z x", "2025-01-31 23:59:59,123 x"),
    ("<A object at 0x7f1234567890>", "<A object at 0x7fabcdef0000>"),
    ("/tmp/pytest-of-ada/pytest-12/a", "/tmp/pytest-of-ada/pytest-13/a"),
    ("/tmp/tmpab12cd34/x", "/tmp/tmpzz99_xy1/x"),
    ("\x1b[31mFAILED\x1b[0m", "FAILED"),
    ("--randomly-seed=123", "--randomly-seed=99"),
    ("took 12 ms, 3 minutes", "took 7 ms, 1 minutes"),
    ("a  \nb", "a\nb\n"),
]
OTHER = [
    (_stage("assert 1 == 2"), _stage("assert 1 == 3")),
    (_stage("x"), _stage("x", code=2)),
    (_stage("x"), _stage("x", name="lint")),
    (_stage("a.py:12: x"), _stage("a.py:13: x")),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_failure_is_the_same_whatever_the_clock_says(one: str, other: str) -> None:
    before = recognize_failure([_stage(one)])
    again = recognize_failure([_stage(other)], known=before.known)

    assert (True, False) == (before.ask, again.ask)
    assert again.asked_before
    assert before.known == again.known


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_failure_is_asked_about(one: dict[str, Value], other: dict[str, Value]) -> None:
    before = recognize_failure([one])

    assert recognize_failure([other], known=before.known).ask


def test_what_nobody_may_be_asked_about_is_not_known_afterwards() -> None:
    """The attempts of this phase are used up; the next phase has its own."""
    left = recognize_failure([_stage("x")], may_ask=False)

    assert (False, []) == (left.ask, left.known)
