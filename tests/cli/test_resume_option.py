"""`--resume` with and without a value: typer knows no such option, so the arguments are
rewritten.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maverick.cli.entry import with_resume_value

VALUED = {"-i", "--input", "--inputs", "--events", "--resume"}
BARE = "--resume=@resumable"


@pytest.mark.parametrize(
    ("given_args", "expected"),
    [
        (["wf", "--resume"], ["wf", BARE]),
        (["--resume", "wf"], [BARE, "wf"]),
        (["wf", "--resume", "REV"], ["wf", "--resume=REV"]),
        (["--resume=REV"], ["--resume=REV"]),
        (["--resume=REV", "wf"], ["--resume=REV", "wf"]),
        (["wf", "--resume", "-i", "a=b"], ["wf", BARE, "-i", "a=b"]),
        (["-i", "a=b", "--resume", "wf"], ["-i", "a=b", BARE, "wf"]),
        (["-i", "a=b", "wf", "--resume", "REV"], ["-i", "a=b", "wf", "--resume=REV"]),
        (["-ia=b", "--resume", "wf"], ["-ia=b", BARE, "wf"]),
        (["--input=a=b", "--resume", "wf"], ["--input=a=b", BARE, "wf"]),
        (["--inputs", "-", "--resume", "wf"], ["--inputs", "-", BARE, "wf"]),
        (["-i", "--resume", "wf", "--resume"], ["-i", "--resume", "wf", BARE]),
        (["--json", "--resume", "wf"], ["--json", BARE, "wf"]),
        (["wf", "--resume", "--", "REV"], ["wf", BARE, "--", "REV"]),
        (["--", "--resume", "wf"], ["--", "--resume", "wf"]),
        (["--resume", "wf", "REV"], [BARE, "wf", "REV"]),
    ],
)
def test_a_word_is_the_value_only_if_the_workflow_stood_before(
    given_args: list[str], expected: list[str]
) -> None:
    assert expected == with_resume_value(given_args, VALUED, named=False)


def test_a_command_that_is_a_workflow_needs_no_word_before() -> None:
    assert ["--resume=REV"] == with_resume_value(["--resume", "REV"], VALUED, named=True)
    assert [BARE, "--json"] == with_resume_value(["--resume", "--json"], VALUED, named=True)


@given(
    st.lists(
        st.sampled_from(["wf", "-i", "a=b", "--json", "--", "-", "--inputs", "REV", "--resume=X"])
    )
)
def test_arguments_without_a_bare_resume_stay_as_they_are(arguments: list[str]) -> None:
    assert arguments == with_resume_value(arguments, VALUED, named=False)


@given(st.lists(st.sampled_from(["wf", "-i", "a=b", "--json", "--", "--resume", "REV"])))
def test_no_word_is_lost(arguments: list[str]) -> None:
    """Every argument stands in the result, in order, alone or as the value of `--resume=`."""
    result = with_resume_value(arguments, VALUED, named=False)

    words = [
        word for it in result for word in (it.split("=", 1) if it.startswith("--resume=") else [it])
    ]
    assert arguments == [word for word in words if word != "@resumable"]
