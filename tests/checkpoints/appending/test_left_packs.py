"""Who may go on with an open pack that another process has left, and what is closed in it first."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from kit.appending import (
    ahead,
    assert_stands,
    done,
    killed,
    open_files,
    pack_of,
)
from kit.faults import Killed, fail, kill
from kit.stores import begin, extend
from maverick.checkpoints import Checkpoint, Ref, Store, blob, note, presence
from maverick.checkpoints.disk import filesystem
from maverick.checkpoints.objects.pack_records import PACK_HEADER_BYTES
from maverick.checkpoints.refs.refs import LOG_LENGTH
from maverick.checkpoints.refs.run_commits import unclosed
from maverick.errors import StoreDamaged, StoreUnwritable

# --- R7: going on with what another process has left ---


@pytest.mark.parametrize("ahead_of", ["", "pwrite", "datasync"])
def test_who_goes_on_closes_what_was_left(store: Store, other: Store, ahead_of: str) -> None:
    """Refs are durable before that, and the pack's name before these."""
    at = killed(store, "run-1", ahead_of=ahead_of)
    before = open_files(store)
    with other.own("run-2"):
        taken = done(other, lambda: begin(other, "run-2"))

        assert before == open_files(store)
        durably = ["create", "write", "sync", "rename", "sync"]
        closed = ["pwrite", "datasync"]
        assert ["truncate", "pwrite", "sync", "sync", *durably, *closed] == taken[:11]
        assert at.id in {it.checkpoint for it in other.ref("run-1").positions}
        assert other.ref("run-1") == Store.open(store.root).ref_files.in_file("run-1")
        assert 1 == len(unclosed(pack_of(before[0])))
    assert_stands(other, other.resolve("run-1"))


def test_who_owns_a_run_waits_for_one_who_is_taking_its_pack(store: Store, other: Store) -> None:
    """Else it would go on from a ref that lags behind."""
    at = killed(store, "run-1")
    lag(store, at)
    third = Store.open(store.root)
    found: list[Checkpoint] = []

    def own() -> None:
        with third.own("run-1"):
            found.append(third.resolve("run-1"))

    thread = threading.Thread(target=own)
    with other.own("run-2"):
        ahead(other, "create", thread.start)
        begin(other, "run-2")
    thread.join()

    assert [at] == found


@pytest.mark.parametrize(
    "operation", ["truncate", "sync", "create", "rename", "pwrite", "datasync"]
)
def test_no_reader_sees_less_while_a_pack_is_taken(
    store: Store, other: Store, operation: str
) -> None:
    at = killed(store, "run-1")
    lag(store, at)
    found: list[str] = []
    with other.own("run-2"):
        ahead(
            other,
            operation,
            lambda: found.append(Store.open(store.root).ref("run-1").checkpoint),
        )
        begin(other, "run-2")

    assert [at.id] == found


def test_a_torn_ref_is_asked_of_the_pack_also_of_one_that_is_kept(
    store: Store, other: Store
) -> None:
    """Who reads it while it is written over sees half of it."""
    with store.own("run-1"):
        at = extend(store, begin(store), range(2))
        path = store.root / "refs" / "run-1"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 2))

        assert at == other.resolve("run-1")
        assert [at.id] == [ref.checkpoint for ref in other.refs()]
        at = extend(store, at, range(2, 3))
        assert at == other.resolve("run-1")
        path.write_bytes(b"")
    assert_stands(store, at)


def test_one_that_was_only_caught_while_written_is_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pack is asked then: there may be none."""
    at = begin(store)
    read = store.files.read
    torn = [b"torn"]
    monkeypatch.setattr(store.files, "read", lambda path: torn.pop() if torn else read(path))

    assert at.id == store.ref("run-1").checkpoint
    assert [] == torn


def test_what_a_pack_said_while_a_ref_was_written_over_may_not_be_on_the_disk(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ref is whole again by then, and its owner appends the next record."""
    with store.own("run-1"):
        at = extend(store, begin(store), range(1))
        found: list[Ref] = []
        read, seen = other.files.read, list[str]()

        def read_torn(path: Path) -> bytes:
            seen.append(path.suffix)
            return read(path) if ".open" in seen else b"torn"

        monkeypatch.setattr(other.files, "read", read_torn)
        ahead(store, "datasync", lambda: found.append(other.ref("run-1")))
        extend(store, at, range(1, 2))

    assert [at.id] == [ref.checkpoint for ref in found]


@pytest.mark.parametrize("boot", [b"another boot 123", bytes(16)])
def test_of_another_boot_what_is_kept_is_looked_at(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch, boot: bytes
) -> None:
    """So it is where nobody knows which one this is."""
    with store.own("run-1"):
        at = extend(store, begin(store), range(2))
        lag(store, at)
        assert at.id != other.ref("run-1").checkpoint

        monkeypatch.setattr(filesystem, "boot", lambda: boot)
        assert at.id == other.ref("run-1").checkpoint


@pytest.mark.parametrize("size", [0, 10, 43, 44, 60, 100])
@pytest.mark.parametrize("begins", ["cut", "zeros", "zeros and the rest"])
def test_a_pack_that_was_hardly_begun_is_no_hindrance(store: Store, size: int, begins: str) -> None:
    """Whatever there is of it."""
    with store.own("run-1"):
        begin(store)
    path = open_files(store)[0]
    data = path.read_bytes()
    (store.root / "refs" / "run-1").unlink()
    whats = {
        "cut": data[:size],
        "zeros": bytes(size),
        "zeros and the rest": bytes(size) + data[size:] if size else b"",
    }
    path.write_bytes(whats[begins])
    again = Store.open(store.root)
    assert [] == again.refs()

    with again.own("run-2"):
        at = begin(again, "run-2")

    assert_stands(again, at)


def test_a_tag_moves_no_ref_to_what_may_not_be_on_the_disk(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who saves may be killed when the tag has looked for what is left of others."""
    at = begin(store)

    def save_and_be_killed(*_: object) -> None:
        ahead(store, "datasync", kill)
        with pytest.raises(Killed), store.own("run-1"):
            extend(store, at, range(1))

    monkeypatch.setattr(presence, "require", save_and_be_killed)
    done_by = done(other, lambda: other.tag("run-1", "good", at))

    assert ["truncate", "pwrite", "sync"] == done_by[:3]
    assert {"good": at.id} == other.ref("run-1").tags
    assert_stands(other, other.resolve("run-1"))


def test_an_older_pack_takes_no_tag_from_a_torn_ref(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has gone on in another pack since, whose owner was killed as it wrote the ref."""
    names = iter(range(1, 99))
    monkeypatch.setattr(os, "urandom", lambda count: bytes([next(names)]) * count)

    def save_and_be_killed() -> None:
        with store.own("run-1"):
            at = extend(store, begin(store), range(1))

            def tag_and_fail() -> None:
                other.tag("run-1", "good", at)
                fail()

            ahead(store, "datasync", tag_and_fail)
            with pytest.raises(StoreUnwritable):
                extend(store, at, range(1, 2))
            extend(store, at, range(2, 4))
            kill()

    with pytest.raises(Killed):
        save_and_be_killed()
    (store.root / "refs" / "run-1").write_bytes(b"torn")
    at = other.resolve("run-1")
    with other.own("run-2"):
        begin(other, "run-2")

    assert 2 == len(open_files(store))
    assert ["good"] == list(other.ref("run-1").tags)
    assert_stands(other, at)


@pytest.mark.parametrize("collects", [False, True])
def test_a_tag_whose_pack_cannot_be_read_for_now_stays(
    store: Store, other: Store, collects: bool
) -> None:
    """Whoever brings up the ref of a run that was killed, a save or gc."""

    def save(number: int, at: Checkpoint | None) -> Checkpoint:
        text = str(number)
        return store.save("run-1", {("a",): note(text)}, facts={("a",): note(text)}, parent=at)

    at = save(0, None)
    store.tag("run-1", "good", at)
    (path,) = (store.root / "objects").iterdir()
    with store.own("run-1"):
        for number in range(LOG_LENGTH + 1):
            at = save(number + 1, at)
        with pytest.raises(Killed):
            kill()
    lag(store, at)
    data = path.read_bytes()
    path.write_bytes(data[:-1])

    if collects:
        with pytest.raises(StoreDamaged, match="gc removed nothing, because run run-1 is damaged"):
            other.plan_gc().execute()
    else:
        begin(other, "run-2")

    path.write_bytes(data)
    assert at == other.resolve("run-1")
    assert 1 == Store.open(store.root).resolve("run-1@good").sequence


# --- R8: dropping ---


def test_a_dropped_run_is_closed_before_its_ref_goes(store: Store, other: Store) -> None:
    killed(store, "run-1")

    other.drop("run-1")

    assert [] == other.refs() == Store.open(store.root).refs()
    assert {} == unclosed(pack_of(open_files(store)[0]))


def test_that_it_was_closed_is_durable_before_its_ref_goes(store: Store, other: Store) -> None:
    """Whoever closed it may have been killed before the sync, or while a pack was sealed."""
    with store.own("run-1"):
        begin(store)
    assert {} == unclosed(pack_of(open_files(store)[0]))

    done_by = done(other, lambda: other.drop("run-1"))

    synced = [at for at, operation in enumerate(done_by) if operation == "sync"]
    assert done_by.index("pwrite") < synced[0] < synced[2] < done_by.index("unlink")


def test_what_a_change_leans_on_is_durable_first(store: Store, other: Store) -> None:
    """A killed process may have written a record, and not synced it."""
    killed(store, "run-1", ahead_of="datasync")
    at = other.resolve("run-1")

    done_by = done(other, lambda: other.save("fork", {("x",): blob(b"1")}, parent=at))

    assert ["truncate", "pwrite", "sync"] == done_by[:3]
    assert {} == unclosed(pack_of(open_files(store)[0]))
    assert_stands(other, other.resolve("fork"))


def test_so_it_is_in_a_damaged_pack(store: Store, other: Store) -> None:
    """Nobody saves into it, but what is closed in it does not come back."""
    with store.own("run-1"), store.own("run-2"):
        begin(store, "run-2")
        at = extend(store, begin(store), range(3))
        with pytest.raises(Killed):
            kill()
    path = open_files(store)[0]
    data = bytearray(path.read_bytes())
    data[PACK_HEADER_BYTES + 100] ^= 1
    path.write_bytes(data)
    assert pack_of(path).damage
    assert at.id == other.ref("run-1").checkpoint

    other.drop("run-1")

    assert "run-1" not in Store.open(store.root).run_ids()
    with other.own("run-3"):
        begin(other, "run-3")
    assert 2 == len(open_files(store))


def test_a_reader_does_not_keep_a_run_from_being_closed(store: Store, other: Store) -> None:
    """It looks whether the pack is kept, by a lock that lasts an instant."""
    killed(store, "run-1")
    descriptor = os.open(open_files(store)[0], os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    other.drop("run-1")
    with other.own("run-2"):
        thread = threading.Thread(target=lambda: begin(other, "run-2"))
        thread.start()
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        thread.join()
    os.close(descriptor)

    assert ["run-2"] == [ref.run for ref in Store.open(store.root).refs()]
    assert 1 == len(open_files(store))


def lag(store: Store, at: Checkpoint) -> None:
    """Have the ref of a run say where it stood before *at*, as after a power cut."""
    one = Store.open(store.root)
    ref = one.ref(at.run)
    assert at.id == ref.checkpoint
    with one.locks.refs():
        before = one.checkpoint(at.parent)
        one.ref_files.put(
            ref._replace(
                checkpoint=before.id,
                tree=before.tree,
                sequence=before.sequence,
                step=before.step,
                positions=ref.positions[:-1],
            )
        )
