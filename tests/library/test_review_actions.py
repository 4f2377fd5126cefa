"""CodeRabbit, combining reviews, installing dependencies."""

import os
from pathlib import Path
from typing import Any

import pytest

from kit.patience import PATIENCE_SECONDS
from kit.repositories import Repository
from maverick.errors import StepFailed
from maverick.library.actions import (
    combine_review_results,
    run_coderabbit_review,
    sync_dependencies,
)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    return folder


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


class TestCodeRabbit:
    def script(self, review: str, *, authenticated: str = "true") -> str:
        return f"""case "$1" in auth) echo '{{"authenticated": {authenticated}}}';; *) {review} ;; esac"""

    def test_findings_are_read_from_its_events(
        self, repository: Repository, programs: Path
    ) -> None:
        events = (
            '{"type": "heartbeat"}\\nnot json\\n{"type": "finding", "severity": "trivial", '
            '"fileName": "a.py", "comment": "odd name"}\\n{"type": "complete", "outcome": '
            '"success", "message": "1 file reviewed"}\\n'
        )
        program(
            programs / "coderabbit",
            self.script(f"""[ "$*" = "review --agent --base dev" ] && printf '{events}'"""),
        )

        review = run_coderabbit_review("dev", cwd=repository.cwd)

        assert ("done", "1 file reviewed") == (review.status, review.summary)
        assert [("info", "a.py", "odd name")] == [
            (f.severity, f.file, f.message) for f in review.issues
        ]

    @pytest.mark.parametrize(
        ("script", "status", "reason"),
        [
            ('echo \'{"type": "error", "message": "no credits"}\'; exit 1', "failed", "no credits"),
            ('echo \'{"type": "heartbeat"}\'', "failed", "heartbeat"),
            ("exec sleep 6000", "failed", "did not come to an end within 0.2 s"),
        ],
    )
    def test_a_review_that_does_not_end_well_is_no_failure_of_the_step(
        self, repository: Repository, programs: Path, script: str, status: str, reason: str
    ) -> None:
        program(programs / "coderabbit", self.script(script))

        review = run_coderabbit_review(
            timeout_seconds=0.2 if "sleep" in script else PATIENCE_SECONDS, cwd=repository.cwd
        )

        assert status == review.status
        assert reason in review.reason

    def test_is_left_out_unless_asked_for_installed_and_logged_in(
        self, repository: Repository, programs: Path
    ) -> None:
        """A review without a login would open a browser."""
        absent = run_coderabbit_review(cwd=repository.cwd)
        program(programs / "cr", self.script("touch reviewed", authenticated="false"))
        logged_out = run_coderabbit_review(cwd=repository.cwd)
        unasked = run_coderabbit_review(enabled=False, cwd=repository.cwd)

        assert ["skipped"] * 3 == [review.status for review in (absent, logged_out, unasked)]
        assert "not installed" in absent.reason
        assert "run `cr auth login`" in logged_out.reason
        assert not (repository.folder / "reviewed").exists()


def finding(
    message: str, severity: str = "minor", file: str = "a.py", line: int | None = 1
) -> dict[str, Any]:
    return {"severity": severity, "message": message, "file": file, "line": line}


class TestCombining:
    def test_the_worst_comes_first(self) -> None:
        issues = [
            finding("d", "trivial"),
            finding("c"),
            finding("a", "blocker"),
            finding("b", "Major"),
        ]

        combined = combine_review_results([{"issues": issues}])

        assert ["a", "b", "c", "d"] == [issue.message for issue in combined.issues]
        assert {"critical": 1, "major": 1, "minor": 1, "info": 1} == combined.counts
        assert combined.report.index("### Critical") < combined.report.index("### Info")

    def test_what_two_found_stands_there_once_as_severe_as_the_severer_says(self) -> None:
        one = {"reviewer": "one", "issues": [finding("The file is never closed", "minor", line=10)]}
        other = {
            "reviewer": "other",
            "issues": [{**finding("the file is never closed.", "major", line=11)}],
        }

        (issue,) = combine_review_results([one, other]).issues

        assert ("major", ["one", "other"]) == (issue.severity, issue.reviewers)

    @pytest.mark.parametrize(
        "other",
        [
            finding("The file is never closed", file="b.py"),
            finding("The file is never closed", line=40),
            finding("The name is misleading"),
        ],
    )
    def test_other_places_and_other_words_are_other_findings(self, other: dict[str, Any]) -> None:
        combined = combine_review_results(
            [{"issues": [finding("The file is never closed"), other]}]
        )

        assert 2 == len(combined.issues)

    @pytest.mark.parametrize(
        ("reviews", "expected"),
        [
            ([{"issues": []}], "approve"),
            ([{"issues": [finding("x", "info")]}], "approve"),
            ([{"issues": [finding("x", "minor")]}], "comment"),
            ([{"issues": [finding("x", "major")]}], "request_changes"),
            ([{"issues": [], "recommendation": "Request changes"}], "request_changes"),
            (
                [{"issues": [finding("x", "critical")], "recommendation": "approve"}],
                "request_changes",
            ),
            ([{"issues": [], "status": "skipped"}], "comment"),
            ([None, {"error": "no answer"}], "comment"),
            ([], "comment"),
        ],
    )
    def test_the_recommendation_is_the_strictest(self, reviews: list[Any], expected: str) -> None:
        """Without a reviewer that came to its end nothing is approved."""
        assert expected == combine_review_results(reviews).recommendation

    def test_a_reviewer_that_failed_is_named_in_the_report(self) -> None:
        report = combine_review_results([{"reviewer": "coderabbit", "error": "no credits"}]).report

        assert "coderabbit did not come to an end: no credits" in report

    def test_a_review_in_plain_words_is_kept(self) -> None:
        assert "reviewer 1: Looks good." in combine_review_results(["Looks good."]).report


class TestDependencies:
    def test_without_a_lock_file_nothing_is_done(self, tmp_path: Path, programs: Path) -> None:
        assert ([], []) == ((done := sync_dependencies(cwd=str(tmp_path))).commands, done.skipped)

    @pytest.mark.parametrize(
        ("file", "name", "expected"),
        [
            ("uv.lock", "uv", "sync --frozen"),
            ("package-lock.json", "npm", "ci --no-audit --no-fund"),
            ("pnpm-lock.yaml", "pnpm", "install --frozen-lockfile"),
        ],
    )
    def test_the_program_that_wrote_it_is_asked(
        self, tmp_path: Path, programs: Path, file: str, name: str, expected: str
    ) -> None:
        (tmp_path / file).touch()
        program(programs / name, 'echo "$@" >> asked')

        assert [f"{name} {expected}"] == sync_dependencies(cwd=str(tmp_path)).commands
        assert f"{expected}\n" == (tmp_path / "asked").read_text()

    def test_pip_goes_into_a_virtual_environment_or_nowhere(
        self, tmp_path: Path, programs: Path
    ) -> None:
        (tmp_path / "requirements.txt").touch()
        nowhere = sync_dependencies(cwd=str(tmp_path))
        program(tmp_path / ".venv" / "bin" / "python", 'echo "$@" >> asked')

        done = sync_dependencies(cwd=str(tmp_path))

        assert "there is no virtual environment" in nowhere.skipped[0]
        assert (["pip install --requirement requirements.txt"], []) == (done.commands, done.skipped)
        assert "-m pip install --requirement requirements.txt\n" == (tmp_path / "asked").read_text()

    def test_a_program_that_is_missing_is_named(
        self, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "uv.lock").touch()
        monkeypatch.setenv("PATH", str(programs))

        with pytest.raises(
            StepFailed, match=r"uv.lock needs the program `uv`, which is not on PATH"
        ):
            sync_dependencies(cwd=str(tmp_path))

    def test_a_failed_installation_is_quoted(self, tmp_path: Path, programs: Path) -> None:
        (tmp_path / "uv.lock").touch()
        program(programs / "uv", "echo 'no network' >&2; exit 2")

        with pytest.raises(StepFailed, match=r"uv.lock names failed .*: no network"):
            sync_dependencies(cwd=str(tmp_path))
