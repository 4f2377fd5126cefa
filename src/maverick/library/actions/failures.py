"""Validation that fails: whether an agent was asked about this failure before, and what to do about
one that stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from maverick.dsl.processes.commands import notice
from maverick.dsl.workflow.outcome import did_not_pass
from maverick.errors import StepFailed

_VOLATILE: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), stand_in)
    for pattern, stand_in in (
        (r"\x1b\[[0-9;]*m", ""),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?", "TIME"),
        (r"\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b", "TIME"),
        (r"\b\d+(?:[.,]\d+)?\s?(?:ns|us|µs|ms|s|secs?|seconds?|mins?|minutes?)\b", "DURATION"),
        (r"\b0x[0-9a-f]{6,}\b", "ADDRESS"),
        (r"\bpytest-\d+\b", "pytest-N"),
        (r"\btmp[a-z0-9_]{8}\b", "TEMPORARY"),
        (r"\b(seed\W{0,3})\d+\b", r"\1N"),
        (r"[ \t]+(?=\n|\Z)", ""),
    )
)
"""What differs between two runs of the same failing command, and what stands for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure of validation. `ask`: an agent should be asked about it now.

    `known` are the fingerprints of all failures that an agent was asked about, this one included if
    it is to be.
    """

    stage: str
    fingerprint: str
    asked_before: bool
    ask: bool
    known: list[str]


def recognize_failure(
    stages: Sequence[Mapping[str, Any]], known: Sequence[str] | None = None, may_ask: bool = True
) -> Failure:
    """Say whether an agent should be asked about the failure of *stages*: not twice about one.

    Two failures are the same if the same stages fail with the same output but for times, durations,
    addresses, colours, seeds, and the names of temporary folders.
    """
    failing = [stage for stage in stages if not stage.get("success")]
    name = ", ".join(str(stage.get("name")) for stage in failing)
    fingerprint = sha256(repr([_essence(stage) for stage in failing]).encode()).hexdigest()[:20]
    before = list(known or [])
    asked_before = fingerprint in before
    ask = may_ask and not asked_before
    if may_ask and asked_before:
        notice(f"{name} fails as it did before, and an agent was asked about that: not again")
    return Failure(
        stage=name,
        fingerprint=fingerprint,
        asked_before=asked_before,
        ask=ask,
        known=[*before, *([fingerprint] if ask else [])],
    )


def failures_asked(
    before: Sequence[str] | None = None, validation: Mapping[str, Any] | None = None
) -> list[str]:
    """Give the failures that an agent was asked about: those that *validation* knows, what
    `validate_and_fix` gave; where there was none, those known *before*.
    """
    known = (validation or {}).get("known_failures")
    return list(before or []) if known is None else list(known)


def require_validation(validation: Mapping[str, Any], what: str, advice: str = "") -> None:
    """Fail unless *validation*, what `validate_and_fix` gave of *what*, succeeded."""
    if not validation.get("success"):
        why = did_not_pass(dict(validation)) or "did not pass"
        raise StepFailed(f"{what}: validation {why}" + (f"; {advice}" if advice else ""))


def _essence(stage: Mapping[str, Any]) -> tuple[str, str, str]:
    text = str(stage.get("output") or "")
    for pattern, stand_in in _VOLATILE:
        text = pattern.sub(stand_in, text)
    return str(stage.get("name")), str(stage.get("exit_code")), text.strip()
