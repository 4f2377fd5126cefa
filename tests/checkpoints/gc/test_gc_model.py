"""The protocol of saves and gc as a model, of which every interleaving, kill and power cut is
looked at.

A few processes of `tests/kit/protocol/jobs.py` and gc run in all orders. Any may be killed between
any two steps, or in the middle of a write, which frees its locks; the power may go at any instant,
and those that had not begun go on from what it left. A step is what the code does between two looks
of others at the disk, and is called what it is called there; a sync is in one step with what comes
after it, as a disk of which less is sure shows all that one shows of which more is. Whatever
changes in their order, or in what a step leans on, changes here. Each rule of the protocol (`Rules`
of `world.py`) can be switched off; then there has to be a counter-example, or the rule would be for
nothing.

The protocol in short. Who owns a run appends records to an open pack that it keeps; one sync makes
a record durable; then it writes over the run's ref, unsynced. So where the run stands is said by
the newer of its ref and its last record in an open pack, until the record `closed` says that the
ref is durable. Anything else writes a pack and then a ref, both durably. With an open pack that
nobody keeps goes on who comes next: it closes all runs there, under `refs.lock`. So does who owns,
drops or takes back a run that is not closed there, and who leans on what others have saved.

In all states, also after a power cut: no run leads to what is gone; what was acknowledged, saves
and tags, is there; a save that was reported as failed, or was taken back, is not; a run that was
dropped stays away, and does not look lost; each ref is whole, or can be rebuilt. `Mix` says who is
at work: A, C, P and Q own r1, B owns r2; W saves, F forks without an open pack. What fails is the
sync of a record or of who goes on with a pack, the write of a ref, or a seal; a cut record stays
cut.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from kit.protocol.search import Mix, search
from kit.protocol.world import Rules

LOCKED, UNLOCKED = Rules(), Rules(locks_work=False)


def mix(*names: str, **counts: int) -> Any:
    """A parameter whose id tells the mix."""
    which = [*names, *(f"{word}={count}" for word, count in counts.items())]
    return pytest.param(Mix(names, **counts), id=",".join(which))


WITHOUT_GC = [
    mix("A", "B", kills=2, failures=1),
    mix("A2", "tag", "seal", kills=2, failures=1),
    mix("A big", "tag", kills=2, failures=1),
    mix("A big", "C", kills=2, failures=1),
    mix("A2", "W2", kills=2, failures=1),
    mix("A", "C", "drop", kills=2, failures=1),
    mix("A", "C", "tag", kills=2, failures=1),
    mix("A", "C", "seal", kills=2, failures=1),
    mix("A", "C", "F", kills=1, failures=1),
    mix("A", "seal", "drop", kills=2, failures=1),
    mix("A ends", "drop", kills=2, failures=1),
    mix("A goes on", "Q", kills=2, failures=1),
    mix("A goes on", "F", kills=2, failures=1),
    mix("A goes on", "W5", kills=2, failures=1),
    mix("A goes on", "drop", kills=2, failures=1),
    mix("A goes on", "tag", kills=2, failures=1),
    mix("A seals", "seal", "take back", kills=2, failures=1),
    mix("A seals", "C", kills=2, failures=1),
    mix("A seals", "tag", kills=2, failures=1),
    mix("A seals", "drop", kills=2, failures=1),
    mix("C", "W1", "drop", kills=2, failures=1),
    mix("C", "W1", "tag", kills=1, failures=1),
    mix("C", "W1", "seal", kills=2, failures=1),
]
WITH_GC = [
    mix("A", "C", cycles=1, dropping=1),
    mix("A", "F", cycles=1),
    mix("A", "W4", cycles=1),
    mix("A", "drop", cycles=1),
    mix("A", "seal", cycles=1, dropping=1, kills=2, failures=1),
    mix("A", "tag", cycles=1),
    mix("A ends", cycles=1, dropping=1),
    mix("A goes on", cycles=1, failures=1),
    mix("A seals", cycles=1, dropping=1),
    mix("W1", cycles=2, dropping=4),
    mix("W3", cycles=2, dropping=4),
    mix("W1", "W2", cycles=1, dropping=4),
    mix("W1", "W3", cycles=1, dropping=4),
    mix("W2", "W3", cycles=1, dropping=4),
]
LARGE = [
    mix("A", "B", "C", kills=2, failures=1),
    mix("A", "B", "F", kills=2, failures=1),
    mix("A", "B", "drop", kills=2, failures=1),
    mix("A", "B", "tag", kills=2, failures=1),
    mix("A goes on", "B", "F", kills=2, failures=1),
    mix("A goes on", "B", "tag", kills=2, failures=1),
    mix("A goes on", "tag", "seal", kills=2, failures=1),
    mix("A goes on", "Q", "seal", kills=2, failures=1),
    mix("A seals", "C2", "seal", kills=2, failures=1),
    mix("P", "B", "Q", kills=2, failures=1),
    mix("P2", "A", "W5", kills=2, failures=1),
    mix("A", "B2", cycles=1),
    mix("A", "C", cycles=1),
    mix("A", "C", "drop", cycles=1),
    mix("A", "C", "seal", cycles=1),
    mix("A2", cycles=2, dropping=1, kills=2, failures=1),
    mix("A ends", "C", cycles=1, dropping=1),
    mix("A ends", "W2", cycles=1, dropping=1),
    mix("A goes on", "drop", cycles=1, failures=1),
    mix("A goes on", "seal", cycles=1, kills=2, failures=1),
    mix("C", "W1", cycles=1),
    mix("W1", "W2", cycles=2, dropping=4),
    mix("W1", "W3", cycles=2, dropping=4),
    mix("W2", "W3", cycles=2, dropping=4),
]


@pytest.mark.parametrize("at_work", [*WITHOUT_GC, *WITH_GC])
def test_the_protocol_is_safe(at_work: Mix) -> None:
    """Whoever is killed, whatever sync fails, and whenever the power goes."""
    steps = search(LOCKED, at_work).counter_example

    assert not steps, "\n".join(steps)


@pytest.mark.parametrize("name", ["W1", "W2", "W3"])
def test_the_protocol_is_safe_where_locks_do_nothing(name: str) -> None:
    """There are no open packs there. Saves need no lock; gc runs when nothing else does."""
    steps = search(UNLOCKED, Mix((name,), cycles=2, dropping=4)).counter_example

    assert not steps, "\n".join(steps)


@pytest.mark.thorough
@pytest.mark.parametrize("at_work", LARGE)
def test_the_protocol_is_safe_with_more_at_once(at_work: Mix) -> None:
    steps = search(LOCKED, at_work).counter_example

    assert not steps, "\n".join(steps)


@pytest.mark.thorough
@pytest.mark.parametrize("names", [("W1", "W2"), ("W1", "W3"), ("W2", "W3")])
def test_so_it_is_where_locks_do_nothing(names: tuple[str, ...]) -> None:
    """With more saves at once."""
    steps = search(UNLOCKED, Mix(names, cycles=2, dropping=4, kills=0)).counter_example

    assert not steps, "\n".join(steps)


def without(rule: str, wrong: str, *names: str, locked: bool = True, **counts: int) -> Any:
    rules = replace(LOCKED if locked else UNLOCKED, **{rule: False})
    return pytest.param(rules, Mix(names, **counts), wrong, id=rule)


GONE, LOST, FOUND = "leads to what is gone", "save of r1 is lost", "or was taken back, is found"
TAG, BACK, TORN = "tag of r1 is lost", "was dropped, and is back", "nothing can rebuild it"
LOOKS_LOST = "was dropped, and looks lost"


NEEDED = [
    # Of all saves.
    without("save_holds_shared_lock", GONE, "A", cycles=1),
    without("each_object_is_looked_for", GONE, "A"),
    without("trash_is_no_hit", GONE, "W1", cycles=2),
    without("what_is_leaned_on_is_looked_for", GONE, "W3", cycles=1, dropping=4),
    without("what_others_append_is_no_hit", GONE, "A", "W4"),
    without("ref_wins_ties", LOST, "C2", "W1"),
    # Of those that write a pack and a ref, and of tags.
    without("objects_are_synced_though_nothing_is_new", GONE, "W1", "W2", cycles=1),
    without("ref_waits_for_pack", GONE, "W2"),
    without("gc_is_alone", GONE, "W1", locked=False, cycles=1),
    without("change_recovers_first", GONE, "A", "F"),
    without("move_looks_at_packs", LOST, "C", "W1", failures=1),
    without("tag_moves_no_ref", GONE, "A", "tag"),
    without("torn_ref_is_read_again", GONE, "A", "F"),
    # Of records.
    without("run_is_owned_once", LOST, "A2", "C"),
    without("pack_is_locked", GONE, "A2", "B"),
    without("new_packs_are_synced_before_append", GONE, "A", "W2"),
    without("ref_waits_for_record", GONE, "A"),
    without("name_of_pack_is_synced", GONE, "A"),
    without("failed_record_is_cut", FOUND, "A", failures=1),
    # Of refs that are overwritten.
    without("first_record_carries_ref", TORN, "A"),
    without("replaced_ref_is_replaced_again", TAG, "A2", "tag"),
    without("record_after_that_carries_ref", TAG, "A big", "tag"),
    without("whole_ref_is_moved_on", TAG, "A", "tag"),
    # Of going on with a pack.
    without("takeover_holds_refs_lock", "r2 leads to what is gone", "A", "B", "C"),
    without("own_settles", GONE, "P", "B", "Q", kills=2),
    without("tail_is_cut", GONE, "A", "C"),
    without("tail_is_written_again", GONE, "A", "C", failures=1, kills=2),
    without("takeover_syncs", GONE, "A", "C"),
    without("takeover_looks_at_its_own_pack", GONE, "A goes on", "seal", failures=1),
    without("takeover_closes_all_runs", LOST, "A", "B", "C"),
    without("refs_are_written_though_they_are_up", LOST, "A", "B"),
    without("torn_ref_gets_newest_tags", TAG, "A goes on", "tag", "seal", failures=1),
    # Of the ends of runs and packs.
    without("ref_is_durable_before_closed", LOST, "A"),
    without("refs_are_durable_before_seal", LOST, "A seals"),
    without("seal_is_synced_before_rename", GONE, "A seals"),
    without("drop_closes_first", BACK, "A", "drop"),
    without("drop_syncs_first", BACK, "A", "drop"),
    # Of gc.
    without("gc_syncs_before_it_marks", LOOKS_LOST, "W1", cycles=2, dropping=4),
    without("gc_marks_again", GONE, "W1", cycles=1),
    without("gc_marks_commits", GONE, "A", cycles=1),
    without("gc_takes_the_newest_commit", GONE, "A goes on", cycles=1, failures=1),
    without("gc_keeps_runs_that_are_unclosed", BACK, "A", cycles=1, dropping=1),
    without("gc_syncs_dropped_refs", BACK, "W1", cycles=1, dropping=4),
    without("drop_is_noted_first", LOOKS_LOST, "W1", cycles=1, dropping=4),
    without("notes_stay_while_needed", LOOKS_LOST, "W3", cycles=2, dropping=4),
]


def test_each_rule_is_switched_off_once() -> None:
    switched = [case.id for case in NEEDED]

    assert sorted(rule.name for rule in fields(Rules) if rule.name != "locks_work") == sorted(
        switched
    )


@pytest.mark.parametrize(("rules", "at_work", "wrong"), NEEDED)
def test_every_rule_is_needed(rules: Rules, at_work: Mix, wrong: str) -> None:
    """Without it something is lost, and the search says how."""
    steps = search(rules, at_work).counter_example

    assert steps
    assert wrong in steps[-1], "\n".join(steps)
