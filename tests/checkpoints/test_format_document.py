"""docs/format.md is enough: the reader below was written from it alone, and reads what the store
wrote.

It uses BLAKE3, Zstandard, JSON, CRC-32 and `struct`, and nothing of maverick. The store that it
reads is made by the code, in the fixture at the end.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from blake3 import blake3

try:
    from compression import zstd
except ImportError:
    from backports import zstd

CONTEXTS = {2: "maverick 2026-11-23 tree v1", 3: "maverick 2026-11-23 checkpoint v1"}
HEADER, FRAME = struct.Struct(">8sI16s"), struct.Struct(">4sBBBBII32sII")
INDEX, TRAILER = struct.Struct(">32sQIB"), struct.Struct(">QI32s32s8s")


def unsealed(data: bytes) -> dict[str, Any]:
    """Section 1.1."""
    body, end = data[:-79], data[-79:]
    assert end == b',"~blake3":"' + blake3(body).hexdigest().encode() + b'"}\n'
    fields: dict[str, Any] = json.loads(data)
    assert canonical({key: fields[key] for key in fields if key != "~blake3"})[:-1] == body
    return fields


def canonical(it: object) -> bytes:
    """Section 4.1, with an encoder of its own."""
    if isinstance(it, dict):
        return b"{" + b",".join(text(key) + b":" + canonical(it[key]) for key in sorted(it)) + b"}"
    if isinstance(it, list):
        return b"[" + b",".join(map(canonical, it)) + b"]"
    if isinstance(it, str):
        return text(it)
    assert type(it) is int
    return str(it).encode()


def text(it: str) -> bytes:
    short = {
        '"': '\\"',
        "\\": "\\\\",
        "\b": "\\b",
        "\t": "\\t",
        "\n": "\\n",
        "\f": "\\f",
        "\r": "\\r",
    }
    out = b""
    for char in it:
        if char in short:
            out += short[char].encode()
        elif ord(char) < 0x20 or 0xD800 <= ord(char) <= 0xDFFF:
            out += f"\\u{ord(char):04x}".encode()
        else:
            out += char.encode()
    return b'"' + out + b'"'


class Reader:
    """Sections 2 to 7."""

    def __init__(self, root: Path) -> None:
        form = unsealed((root / "format.json").read_bytes())
        assert ("maverick checkpoints", 1) == (form["format"], form["version"])
        assert {"bases", "chunks", "order"} >= set(form["features"]["read"])
        self.objects: dict[str, tuple[int, bytes]] = {}
        self.based: dict[str, str] = {}
        self.chunked: dict[str, list[str]] = {}
        self.leaning: list[tuple[bytes, int, int, int, int, bytes]] = []
        for path in (root / "objects").iterdir():
            self.read_pack(path.stem, path.read_bytes())
        whole = set(self.objects)
        for row in [row for row in self.leaning if row[2] == 1]:
            # chunks may have bases, bases lean on nothing
            self.read_leaning(*row, whole=whole)
        lists = [row for row in self.leaning if row[2] == 2]
        for upper in (False, True):  # of chunks, then of such lists
            for row in lists:
                if upper == any(item in {it[0] for it in lists} for item in self.items(row)):
                    self.read_leaning(*row, whole=whole)
        self.refs = {unescaped(p.name): unsealed(p.read_bytes()) for p in (root / "refs").iterdir()}

    def read_pack(self, name: str, data: bytes) -> None:
        magic, version, _ = HEADER.unpack_from(data)
        assert (b"MVRKPACK", 1) == (magic, version)
        start, count, index_hash, pack_hash, magic = TRAILER.unpack_from(data, len(data) - 84)
        assert (b"MVRKTAIL", name) == (magic, pack_hash.hex())
        assert pack_hash == blake3(data[:-40]).digest()
        index = data[start:-84]
        assert (index_hash, count * 45) == (blake3(index).digest(), len(index))
        rows = list(INDEX.iter_unpack(index))
        assert sorted(row[0] for row in rows) == [row[0] for row in rows]
        end = 28
        for raw_id, offset, length, kind in sorted(rows, key=lambda row: row[1]):
            assert end == offset
            end += length
            self.read_frame(raw_id, kind, data[offset:end])
        assert end == start

    def read_frame(self, raw_id: bytes, kind: int, frame: bytes) -> None:
        magic, kind_too, codec, flags, zero, raw_length, length, raw_id_too, check, header_check = (
            FRAME.unpack_from(frame)
        )
        payload = frame[56:]
        assert kind == kind_too + (128 if flags else 0)
        assert (bytes.fromhex("F74D7666"), raw_id) == (magic, raw_id_too)
        assert (0, len(payload), crc32(payload), crc32(frame[:52])) == (
            zero,
            length,
            check,
            header_check,
        )
        if flags:
            self.leaning.append((raw_id, kind_too, flags, codec, raw_length, payload))
        else:
            data = {0: lambda: payload, 1: lambda: zstd.decompress(payload)}[codec]()
            assert raw_length == len(data)
            self.put(raw_id, kind, data)

    def items(self, row: tuple[bytes, int, int, int, int, bytes]) -> list[bytes]:
        data = {0: lambda: row[5], 1: lambda: zstd.decompress(row[5])}[row[3]]()
        return [chunk for chunk, _ in struct.iter_unpack(">32sI", data)]

    def read_leaning(
        self,
        raw_id: bytes,
        kind: int,
        flags: int,
        codec: int,
        raw_length: int,
        payload: bytes,
        *,
        whole: set[str],
    ) -> None:
        if flags == 1:
            assert codec == 1
            base = payload[:32].hex()
            assert base in whole
            prefix = zstd.ZstdDict(self.objects[base][1], is_raw=True).as_prefix
            data = zstd.decompress(payload[32:], zstd_dict=prefix)
            assert raw_length == len(data)
            self.based[raw_id.hex()] = base
        else:
            assert (1, 2) == (kind, flags)
            rows = {0: lambda: payload, 1: lambda: zstd.decompress(payload)}[codec]()
            assert raw_length == len(rows)
            items = list(struct.iter_unpack(">32sI", rows))
            parts = [self.objects[chunk.hex()][1] for chunk, _ in items]
            assert [length for _, length in items] == [len(part) for part in parts]
            data = b"".join(parts)
            self.chunked[raw_id.hex()] = [chunk.hex() for chunk, _ in items]
        self.put(raw_id, kind, data)

    def put(self, raw_id: bytes, kind: int, data: bytes) -> None:
        hashed = blake3(data) if kind == 1 else blake3(data, derive_key_context=CONTEXTS[kind])
        assert raw_id == hashed.digest()
        self.objects[raw_id.hex()] = (kind, data)

    def json_of(self, kind: int, object_id: str) -> Any:
        kind_too, data = self.objects[object_id]
        assert kind == kind_too
        assert data == canonical(json.loads(data))
        return json.loads(data)

    def folder(self, node_id: str, prefix: str = "") -> dict[str, list[Any]]:
        """Section 5.1, all that it promises checked."""
        node = self.json_of(2, node_id)
        if "entries" in node:
            entries: dict[str, list[Any]] = node["entries"]
            assert len(entries) <= 48
        else:
            entries = {}
            for nibble, (child, count, size) in node["fan"].items():
                below = self.folder(child, prefix + nibble)
                assert (count, size) == (len(below), sum(row[2] for row in below.values()))
                entries |= below
            assert len(entries) > 48
        for name in entries:
            assert blake3(name.encode("utf-8", "surrogateescape")).hexdigest().startswith(prefix)
        return entries

    def find(self, node_id: str, name: str) -> list[Any]:
        """Section 5.1: by the digits of the hash."""
        for digit in blake3(name.encode("utf-8", "surrogateescape")).hexdigest():
            node = self.json_of(2, node_id)
            if "entries" in node:
                break
            node_id = node["fan"][digit][0]
        row: list[Any] = node["entries"][name]
        return row

    def content(self, row: list[Any]) -> Any:
        """What an entry stands for: a folder as a dictionary, a value as such, bytes, a note."""
        kind, object_id, size = row[:3]
        if kind == "note":
            return ("note", row[3])
        if kind in ("tree", "bundle"):
            entries = self.folder(object_id)
            assert size == sum(inner[2] for inner in entries.values())
            if kind == "tree":
                return {name: self.content(inner) for name, inner in entries.items()}
            blobs = {name: self.objects[inner[1]] for name, inner in entries.items()}
            value = self.value(json.loads(blobs.pop("value")[1]))
            assert {blake3(data).hexdigest() for _, data in blobs.values()} == set(blobs)
            return value
        assert size == len(self.objects[object_id][1])
        data = self.objects[object_id][1]
        return self.value(json.loads(data)) if kind == "value" else data

    def value(self, it: Any) -> Any:
        """Section 5.3."""
        if isinstance(it, list):
            return [self.value(item) for item in it]
        if not isinstance(it, dict):
            return it
        match it:
            case {"$int": digits} if len(it) == 1:
                return int(digits, 16)
            case {"$float": name} if len(it) == 1:
                return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[name]
            case {"$bytes": blob} if len(it) == 1:
                return self.objects[blob][1]
        assert all(key[:2] == "$$" for key in it if key[:1] == "$")
        return {key[1:] if key[:1] == "$" else key: self.value(item) for key, item in it.items()}

    def history(self, run: str) -> Iterator[dict[str, Any]]:
        at = self.refs[run]["checkpoint"]
        while at:
            checkpoint = self.json_of(3, at)
            yield checkpoint
            at = checkpoint["parent"]


def unescaped(name: str) -> str:
    """Section 7.1."""
    name = re.sub(r"\^([a-z])", lambda found: found[1].upper(), name)
    return re.sub(b"%(..)", lambda found: bytes.fromhex(found[1].decode()), name.encode()).decode()


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
    """A store with each thing that the document describes."""
    from maverick.checkpoints import Store, blob, note, value  # noqa: PLC0415 - not for the reader

    times = iter(range(1000, 9000))
    store = Store.create(tmp_path / "checkpoints", clock=lambda: next(times))
    names = {
        ("files", name): blob(name.encode("utf-8", "surrogateescape"))
        for name in ("a b", "\udcff", 'ü"\\')
    }
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
    return store.root


def test_a_reader_written_from_the_document_reads_everything(root: Path) -> None:
    """Every pack, frame, tree, checkpoint and ref is as the document says, and holds what was put
    in.
    """
    reader = Reader(root)

    assert {"Run/1", "fork", "long"} == set(reader.refs)
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
    assert "fan" in reader.json_of(2, steps[1])
    assert '{"key":"512"}' == reader.find(steps[1], "s512")[3]
    assert len(reader.based) > 2
    fork, before = list(reader.history("fork"))[:2]
    large = [reader.content(reader.folder(at["tree"])["large"]) for at in (before, fork)]
    assert [LARGE, LARGE[:300_000] + b"inserted" + LARGE[300_000:]] == large
    (long,) = reader.history("long")
    assert LONG == reader.content(reader.folder(long["tree"])["text"])
    inner = [it for it in reader.chunked[blake3(LONG).hexdigest()] if it in reader.chunked]
    assert inner
    assert 3 == len(reader.chunked) - len(inner)
    assert {chunk for chunks in reader.chunked.values() for chunk in chunks} & set(reader.based)
    facts = reader.content(reader.folder(last["facts"])["steps"])
    assert {f"s{n}": ("note", f"{n} ms") for n in range(49)} == facts


def test_a_reader_written_from_the_document_reads_refs(root: Path) -> None:
    """All fields, among them those that a listing shows."""
    reader = Reader(root)
    ref, fork = reader.refs["Run/1"], reader.refs["fork"]
    checkpoint = reader.json_of(3, ref["checkpoint"])

    for name in ("run", "group", "kind", "sequence", "step", "tree"):
        assert checkpoint[name] == ref[name]
    assert sum(row[2] for row in reader.folder(ref["tree"]).values()) == ref["bytes"]
    assert (1000, 1002) == (ref["started"], ref["updated"])
    assert ["Run/1", "fork", "long"] == sorted(
        reader.refs, key=lambda run: reader.refs[run]["order"]
    )
    assert [
        [1, 1000, "", "auto", ""],
        [2, 1001, "", "label", "half"],
        [3, 1002, "done", "final", ""],
    ] == [position[1:] for position in ref["positions"]]
    label = next(at for at in reader.history("Run/1") if at["kind"] == "label")
    assert label == reader.json_of(3, ref["labelled"]) == reader.json_of(3, fork["labelled"])
    assert {"kept": ref["positions"][0][0]} == fork["tags"]
    assert ref["positions"][1][0] == reader.json_of(3, fork["positions"][0][0])["parent"]
