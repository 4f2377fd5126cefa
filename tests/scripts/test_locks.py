"""The locks fit `pyproject.toml`, and what would be wrong with one is said."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCKS: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "locks.py"))
ASKED = ["alpha>=1.2", "beta>=2; python_version < '3.13'"]
HASHES = f" \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{'1' * 64}\n"
ALPHA = f"alpha==1.2{HASHES}"
BETA = f"beta==2.0 ; python_full_version < '3.13'{HASHES}"


def problems(*entries: str, name: str = "dev", asked: list[str] = ASKED) -> list[str]:
    """What is wrong with a lock of these lines."""
    return LOCKS["problems"](name, LOCKS["head"](name, ASKED) + "".join(entries), asked)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", LOCKS["NAMES"])
def test_every_lock_holds_what_pyproject_asks_for(name: str) -> None:
    """Versions and hashes of all of it, for every Python and system, and no address of a
    registry.
    """
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")

    assert [] == LOCKS["problems"](name, text, LOCKS["wanted"](name)), "run `scripts/lock`"


def test_the_build_back_end_is_locked() -> None:
    """Without it, an installation would take whatever is newest for it."""
    assert {"hatchling", "editables"} <= {
        entry.name
        for entry in LOCKS["entries"]((ROOT / "requirements" / "run.txt").read_text("utf-8"))[0]
    }


def test_a_lock_that_fits_has_no_problem() -> None:
    assert [] == problems(ALPHA, BETA)
    assert [] == problems(ALPHA, BETA, name="oldest")


WRONG = {
    "nothing": ([], "alpha is missing for Python 3.11 on Linux x86_64"),
    "too old": (
        [ALPHA.replace("1.2", "1.1"), BETA],
        "it holds alpha 1.1, and asked for is alpha>=1.2",
    ),
    "not for all": (
        [ALPHA, BETA.replace("3.13", "3.12")],
        "beta is missing for Python 3.12 on Linux x86_64",
    ),
    "twice": ([ALPHA, ALPHA, BETA], "alpha stands twice for Python 3.11 on Linux x86_64"),
    "no hash": (
        ["alpha==1.2\n", BETA],
        "it holds a line that is no package with version and hashes: alpha==1.2",
    ),
    "short hash": ([ALPHA.replace("1" * 64, "1" * 40), BETA], "no package with version and hashes"),
    "an index": (["--index-url https://example.org/simple\n", ALPHA, BETA], "it names an address"),
    "a path": (
        [ALPHA, BETA, "-e /home/me/gamma\n"],
        "no package with version and hashes: -e /home/me/gamma",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_lock_is_said(case: str) -> None:
    entries, expected = WRONG[case]

    assert any(expected in problem for problem in problems(*entries)), problems(*entries)


def test_a_lock_is_out_of_date_when_anything_else_is_asked_for() -> None:
    """Also where what it holds would still do."""
    expected = ["it was not made from what pyproject.toml asks for now"]

    assert expected == problems(ALPHA, BETA, asked=["alpha>=1.1", ASKED[1]])
    assert expected == problems(ALPHA, BETA, asked=ASKED[:1])


def test_a_lower_bound_that_was_not_tried_is_said() -> None:
    assert [
        (
            "the oldest release that is tried is 1.3, and alpha>=1.2 says another for Python 3.11 on "
            "Linux x86_64"
        )
    ] == (problems(ALPHA.replace("1.2", "1.3"), BETA, name="oldest"))


def test_a_lock_that_is_not_there_is_said_in_one_line() -> None:
    assert ["it is not there"] == LOCKS["problems"]("dev", "", ASKED)
