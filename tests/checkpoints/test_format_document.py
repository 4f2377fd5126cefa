"""docs/format.md is enough: `kit.format_reader` was written from it alone, and reads what the store
wrote.

The stores are made by the code, in the fixture.
"""

from __future__ import annotations

import math
import shutil
import struct
from pathlib import Path

import pytest
from blake3 import blake3

from kit.format_reader import CHECKPOINT, TREE, Pack, Reader, unsealed

VALUE = {
    "rows": [1, -1, 2**63, -(2**70), True, None, "é\n\x01\udc80", [], {}],
    "floats": [1.0, -0.0, 1e300, 5e-324, math.inf, -math.inf, math.nan],
    "$int": {"$$x": b"", "$": [b"bytes", b"bytes"]},
    "a": "the keys keep their order",
}


LARGE = b"".join(blake3(b"%d" % number).digest() for number in range(20_000))
LONG = b"".join(blake3(b"long %d" % number).digest() for number in range(150_000))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with each thing that the document describes, as a killed process leaves it."""
    from maverick.checkpoints import Store, blob, note, value  # noqa: PLC0415 - not for the reader

    times = iter(range(1000, 9000))
    store = Store.create(tmp_path / "made", clock=lambda: next(times))
    names = {
        ("files", name): blob(name.encode("utf-8", "surrogateescape"))
        for name in ("a b", "\udcff", 'ü"\\')
    }
    with store.own("Run/1"):
        first = store.save("Run/1", {("inputs",): value(VALUE), **names}, parent=None, group="fly")  # type: ignore[dict-item]
        steps = {("steps", f"s{n}"): value(n, note=f'{{"key":"{n}"}}') for n in range(900)}
        facts = {("steps", f"s{n}"): note(f"{n} ms") for n in range(49)}
        second = store.save(
            "Run/1", steps, parent=first, kind="label", label="half", facts=facts, step="s899"
        )
        store.save("Run/1", {("steps", "s7"): None}, parent=second, kind="final", reason="done")
    at = store.save(
        "fork", {("log",): blob(b"x" * 100_000), ("large",): blob(LARGE)}, parent=second
    )
    store.save(
        "fork", {("large",): blob(LARGE[:300_000] + b"inserted" + LARGE[300_000:])}, parent=at
    )
    store.save("long", {("text",): blob(LONG)}, parent=None)
    store.tag("fork", "kept", first)
    store.appender.seal_all()
    with store.own("killed"):
        at = store.save("killed", {("x",): blob(b"0")}, parent=None, summary={"calls": 1})
        for number in range(1, 30):
            at = store.save("killed", {("x",): blob(b"%d" % number)}, parent=at, reason="more")
            if number == 20:
                old = (store.root / "refs/killed").read_bytes()
        with store.own("torn"):
            store.save("torn", {("x",): blob(b"0")}, parent=None)
        with store.own("torn"):
            store.save("torn", {("y",): blob(b"1")}, parent=store.resolve("torn"))
            shutil.copytree(store.root, tmp_path / "checkpoints")
    (tmp_path / "checkpoints/refs/killed").write_bytes(old)
    (tmp_path / "checkpoints/refs/torn").write_bytes(b"{torn")
    return tmp_path / "checkpoints"


def test_a_reader_written_from_the_document_reads_everything(root: Path) -> None:
    """Every pack, frame, tree, checkpoint and ref is as the document says, and holds what was put
    in.
    """
    reader = Reader(root)

    assert {"Run/1", "fork", "long", "killed", "torn"} == set(reader.refs)
    last, second, first = reader.history("Run/1")
    assert [(3, "final", ""), (2, "label", "half"), (1, "auto", "")] == [
        (at["sequence"], at["kind"], at["label"]) for at in (last, second, first)
    ]
    inputs = reader.content(reader.folder(first["tree"])["inputs"])
    assert repr(VALUE) == repr(inputs)
    files = reader.content(reader.folder(last["tree"])["files"])
    assert {
        name: name.encode("utf-8", "surrogateescape") for name in ("a b", "\udcff", 'ü"\\')
    } == files
    steps = reader.folder(last["tree"])["steps"]
    assert {f"s{n}": n for n in range(900) if n != 7} == reader.content(steps)
    assert "fan" in reader.json_of(TREE, steps[1])
    assert '{"key":"512"}' == reader.find(steps[1], "s512")[3]
    fork, before = list(reader.history("fork"))[:2]
    large = [reader.content(reader.folder(at["tree"])["large"]) for at in (before, fork)]
    assert [LARGE, LARGE[:300_000] + b"inserted" + LARGE[300_000:]] == large
    (long,) = reader.history("long")
    assert LONG == reader.content(reader.folder(long["tree"])["text"])
    assert any(chunk in reader.lists for chunk, _ in reader.lists[blake3(LONG).hexdigest()])
    facts = reader.content(reader.folder(last["facts"])["steps"])
    assert {f"s{n}": ("note", f"{n} ms") for n in range(49)} == facts


def test_a_reader_written_from_the_document_reads_refs(root: Path) -> None:
    """All fields, among them those that a listing shows."""
    reader = Reader(root)
    ref, fork = reader.refs["Run/1"], reader.refs["fork"]
    checkpoint = reader.json_of(CHECKPOINT, ref["checkpoint"])

    for name in ("run", "group", "kind", "sequence", "step", "tree"):
        assert checkpoint[name] == ref[name]
    assert sum(row[2] for row in reader.folder(ref["tree"]).values()) == ref["bytes"]
    assert (1000, 1002) == (ref["started"], ref["updated"])
    assert ["Run/1", "fork", "long", "killed", "torn"] == sorted(
        reader.refs, key=lambda run: reader.refs[run]["order"]
    )
    assert [
        [1, 1000, "", "auto", ""],
        [2, 1001, "", "label", "half"],
        [3, 1002, "done", "final", ""],
    ] == [position[1:] for position in ref["positions"]]
    label = next(at for at in reader.history("Run/1") if at["kind"] == "label")
    assert (
        label
        == reader.json_of(CHECKPOINT, ref["labelled"])
        == reader.json_of(CHECKPOINT, fork["labelled"])
    )
    assert {"kept": ref["positions"][0][0]} == fork["tags"]
    assert ref["positions"][1][0] == reader.json_of(CHECKPOINT, fork["positions"][0][0])["parent"]


def test_a_reader_written_from_the_document_reads_open_packs(root: Path) -> None:
    """Where runs stand whose refs lag, or are torn; frames with a prefix, and runs that have left."""
    from maverick.checkpoints import Store  # noqa: PLC0415 - to compare

    reader = Reader(root)
    (pack,) = [pack for pack in reader.packs if pack.boot != bytes(16) and pack.standing()]

    assert {"killed", "torn"} == set(pack.standing())
    assert {0, 1, 16} <= {flags & 17 for flags in pack.flags}
    assert {"Run/1", "fork", "killed", "long"} == set(reader.files)
    assert (21, 30) == (reader.files["killed"]["sequence"], reader.refs["killed"]["sequence"])
    killed = reader.refs["killed"]
    assert (16, "more", {"calls": 1}) == (
        len(killed["positions"]),
        killed["positions"][-1][3],
        killed["summary"],
    )
    assert b"29" == reader.content(reader.folder(killed["tree"])["x"])
    for ref in Store.open(root).refs():
        mine = reader.refs[ref.run]
        assert [list(it) for it in ref.positions] == mine["positions"]
        for name in ("checkpoint", "tree", "bytes", "started", "updated", "labelled", "order"):
            assert getattr(ref, name) == mine[name]
        assert (dict(ref.tags), dict(ref.summary)) == (mine["tags"], mine.get("summary", {}))


def test_a_reader_written_from_the_document_goes_on_with_a_prefix(root: Path) -> None:
    """As who takes an open pack over writes it."""
    from maverick.checkpoints import Store, blob  # noqa: PLC0415 - not for the reader

    store = Store.open(root)
    with store.own("next"):
        store.save("next", {("x",): blob(LARGE[:5000])}, parent=None)
        reader = Reader(root)

    assert any(flags & 2 for pack in reader.packs for flags in pack.flags)
    next_run = reader.refs["next"]
    assert LARGE[:5000] == reader.content(reader.folder(next_run["tree"])["x"])
    assert 30 == reader.files["killed"]["sequence"]


def test_a_reader_written_from_the_document_reads_exports(root: Path) -> None:
    """Section 11: the head, and the pack before it."""
    from maverick.checkpoints import Store, exports  # noqa: PLC0415 - not for the reader

    store = Store.open(root)
    path = root.parent / "run"
    exports.export(store, store.resolve("fork"), path)
    data = path.read_bytes()

    length, magic = struct.unpack(">Q8s", data[-16:])
    head = unsealed(data[-16 - length : -16])
    assert (b"MVRKRUN\n", 2) == (magic, head["format"])
    assert {"format", "pack", "ref", "before", "~blake3"} == set(head)
    pack = Pack(head["pack"], data[: -16 - length])
    assert {0, 1, 4, 5} >= pack.flags
    assert pack.nonce == blake3(head["ref"].encode()).digest(16)
    reader = Reader(root)
    reader.objects = {}
    reader.take([pack])
    ref = unsealed(head["ref"].encode("utf-8", "surrogateescape"))
    large = LARGE[:300_000] + b"inserted" + LARGE[300_000:]
    assert large == reader.content(reader.folder(ref["tree"])["large"])
    assert head["before"].startswith(reader.json_of(CHECKPOINT, ref["checkpoint"])["parent"][:16])
