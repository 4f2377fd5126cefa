"""A reader of stores that was written from docs/format.md alone, with BLAKE3, Zstandard, JSON and
`struct`, and nothing of maverick.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blake3 import blake3

try:
    from compression import zstd
except ImportError:
    from backports import zstd

BLOB, LIST, TREE, CHECKPOINT = range(4)
CONTEXTS = {TREE: "maverick 2026-11-23 tree v1", CHECKPOINT: "maverick 2026-11-23 checkpoint v1"}
HEADER, HEAD = struct.Struct(">8sI16s16s"), struct.Struct(">4sBII8sI16s")
ROW, TRAILER = struct.Struct(">4sI"), struct.Struct(">QIII16s16s32s8s")


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


def varints(data: bytes, count: int) -> tuple[list[int], bytes]:
    """Give so many, and what follows them."""
    numbers = []
    for _ in range(count):
        number = shift = 0
        while True:
            byte, data = data[0], data[1:]
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        numbers.append(number)
    return numbers, data


def parts(data: bytes, count: int) -> list[bytes]:
    """Give what stands behind so many lengths."""
    lengths, data = varints(data, count)
    assert sum(lengths) == len(data)
    return [data[sum(lengths[:at]) : sum(lengths[: at + 1])] for at in range(count)]


class Block:
    """Section 3.2: one of the two streams of a pack."""

    def __init__(self) -> None:
        self.segment: bytes | None = None

    def raw(self, block: bytes, flags: int) -> bytes:
        if not block:
            assert flags == 0
            return b""
        if flags == 1:
            self.segment, self.decompressor = b"", zstd.ZstdDecompressor()
        elif flags == 3:
            assert self.segment
            prefix = zstd.ZstdDict(self.segment[-262_144:], is_raw=True).as_prefix
            self.decompressor = zstd.ZstdDecompressor(zstd_dict=prefix)
        assert self.segment is not None
        raw: bytes = self.decompressor.decompress(block)
        assert not self.segment or len(self.segment) + len(raw) <= 1_048_576
        self.segment += raw
        return raw


class Pack:
    """Section 3, all that it promises checked."""

    def __init__(self, name: str, data: bytes, *, is_open: bool = False) -> None:
        magic, version, self.nonce, self.boot = HEADER.unpack_from(data)
        assert (b"MVRKPACK", 2) == (magic, version)
        self.objects: list[tuple[int, str, bytes]] = []
        self.records: list[tuple[int, int, bytes, dict[str, Any]]] = []
        self.columns: list[tuple[int, ...]] = []
        self.streams = (Block(), Block())
        self.flags: set[int] = set()
        if is_open:
            assert name == self.nonce.hex()
            at = 44
            while self.is_record(data, at):
                at = self.read_record(data, at)
            assert not any(self.is_record(data, later) for later in range(at, len(data)))
        else:
            self.read_sealed(name, data)

    def read_sealed(self, name: str, data: bytes) -> None:
        rows_at, count, records, length, rows_check, check, pack_hash, magic = TRAILER.unpack(
            data[-92:]
        )
        assert (b"MVRKTAIL", name) == (magic, pack_hash.hex())
        assert pack_hash == blake3(data[:-40]).digest()
        rows, directory = data[rows_at : rows_at + 8 * count], data[rows_at + 8 * count : -92]
        assert (length, rows_check) == (len(directory), blake3(rows).digest(16))
        assert check == blake3(directory).digest(16)
        at = 44
        while at < rows_at:
            assert self.is_record(data, at)
            at = self.read_record(data, at)
        assert (rows_at, count, records) == (at, len(self.objects), len(self.records))
        listed = list(ROW.iter_unpack(rows))
        assert sorted(listed) == listed
        assert {(bytes.fromhex(it)[:4], n) for n, (_, it, _) in enumerate(self.objects)} == {
            *listed
        }
        table = zstd.decompress(directory) if records else b""
        columns = [row for (row,) in struct.iter_unpack(">I", table)]
        assert [number for column in zip(*self.columns, strict=True) for number in column] == (
            columns
        )

    def is_record(self, data: bytes, at: int) -> bool:
        """Section 3.6: whether a record counts."""
        if not data.startswith(bytes.fromhex("F74D7672"), at) or len(data) < at + 41:
            return False
        length, check = HEAD.unpack_from(data, at)[-2:]
        head, payload = data[at : at + 25], data[at + 41 : at + 41 + length]
        hashed = blake3(self.nonce + at.to_bytes(8) + head + payload)
        return bool(hashed.digest(16) == check)

    def read_record(self, data: bytes, at: int) -> int:
        """Give where the next one is."""
        _, flags, first, sequence, tag, length, _ = HEAD.unpack_from(data, at)
        assert first == len(self.objects)
        end = at + 41 + length
        (*counts, structure), rest = varints(data[at + 41 : end], 5)
        count = sum(counts)
        self.columns.append((length, flags, *counts, structure))
        self.flags.add(flags)
        ids = [rest[32 * n : 32 * n + 32].hex() for n in range(count)]
        rest = rest[32 * count :]
        known = [*(object_id for _, object_id, _ in self.objects), *ids]
        raw = self.streams[0].raw(rest[:structure], flags & 3)
        blobs = parts(self.streams[1].raw(rest[structure:], flags >> 2 & 3), counts[0])
        (meta_length,), raw = varints(raw, 1) if raw else ([0], b"")
        meta = raw[:meta_length]
        stored = [*blobs, *parts(raw[meta_length:], count - counts[0])]
        kinds = [kind for kind, number in enumerate(counts) for _ in range(number)]
        for kind, object_id, it in zip(kinds, ids, stored, strict=True):
            whole = it if kind == BLOB else self.with_ids(it, known[: len(self.objects)])
            self.objects.append((kind, object_id, whole))
        self.records.append((flags, sequence, tag, json.loads(meta) if meta else {}))
        return end

    @staticmethod
    def with_ids(stored: bytes, known: list[str]) -> bytes:
        """Section 3.3."""
        return re.sub(
            rb"\x01([0-9a-f]+)", lambda it: b'"%s"' % known[int(it[1], 16)].encode(), stored
        )

    def standing(self) -> dict[str, dict[str, Any]]:
        """Section 7.3: where the runs stand that have not left."""
        refs: dict[str, dict[str, Any]] = {}
        end = 0
        numbers = {}
        for number, (row, (flags, sequence, tag, meta)) in enumerate(
            zip(self.columns, self.records, strict=True)
        ):
            end += sum(row[2:6])
            numbers[number] = end - 1
            run = meta.get("run", "")
            assert tag == (blake3(run.encode()).digest(8) if run else bytes(8))
            if flags & 16:
                refs.pop(run, None)
            elif "ref" in meta:
                refs[run] = unsealed(meta["ref"].encode("utf-8", "surrogateescape"))
            elif run:
                kind, object_id, data = self.objects[numbers[number]]
                assert kind == CHECKPOINT
                refs[run] = advanced(refs[run], object_id, json.loads(data), meta)
            if run and not flags & 16:
                assert sequence == refs[run]["sequence"]
        return refs


def advanced(
    ref: dict[str, Any], object_id: str, checkpoint: dict[str, Any], meta: dict[str, Any]
) -> dict[str, Any]:
    """Section 7.3."""
    names = ("group", "kind", "run", "sequence", "step", "tree")
    row = [object_id, checkpoint["sequence"], checkpoint["created"], meta["reason"]]
    row += [checkpoint["kind"], checkpoint["label"]]
    is_label = checkpoint["kind"] == "label"
    summary = meta.get("summary", ref.get("summary", {}))
    changed = {key: value for key, value in ref.items() if key != "summary"}
    return (
        changed
        | {name: checkpoint[name] for name in names}
        | {
            "bytes": meta["bytes"],
            "checkpoint": object_id,
            "labelled": object_id if is_label else checkpoint["labelled"],
            "positions": [*ref["positions"], row][-16:],
            "updated": checkpoint["created"],
        }
        | ({"summary": summary} if summary else {})
    )


class Reader:
    """Sections 2 to 7."""

    def __init__(self, root: Path) -> None:
        form = unsealed((root / "format.json").read_bytes())
        assert ("maverick checkpoints", 2) == (form["format"], form["version"])
        assert {"gc": [], "read": [], "write": []} == form["features"]
        self.objects: dict[str, tuple[int, bytes]] = {}
        self.packs = [
            Pack(path.stem, path.read_bytes(), is_open=path.suffix == ".open")
            for path in (root / "objects").iterdir()
        ]
        self.take(self.packs)
        self.refs: dict[str, dict[str, Any]] = {}
        for path in (root / "refs").iterdir():
            try:
                self.refs[unescaped(path.name)] = unsealed(path.read_bytes())
            except (AssertionError, ValueError):  # torn
                continue
        self.files = dict(self.refs)
        for pack in self.packs:
            for run, ref in pack.standing().items():
                if run not in self.refs or self.refs[run]["sequence"] < ref["sequence"]:
                    self.refs[run] = ref

    def take(self, packs: list[Pack]) -> None:
        """Section 3.3: lists once all blobs are there, then lists of lists."""
        rows = [row for pack in packs for row in pack.objects]
        self.lists = {it: json.loads(data) for kind, it, data in rows if kind == LIST}
        for kind, object_id, data in rows:
            if kind != LIST:
                self.put(object_id, kind, data)
        for upper in (False, True):
            for object_id, chunks in self.lists.items():
                if upper == any(chunk in self.lists for chunk, _ in chunks):
                    blobs = [self.objects[chunk][1] for chunk, _ in chunks]
                    assert [length for _, length in chunks] == [len(blob) for blob in blobs]
                    self.put(object_id, BLOB, b"".join(blobs))

    def put(self, object_id: str, kind: int, data: bytes) -> None:
        hashed = blake3(data, derive_key_context=CONTEXTS[kind]) if kind else blake3(data)
        assert object_id == hashed.hexdigest()
        self.objects[object_id] = (kind, data)

    def json_of(self, kind: int, object_id: str) -> Any:
        kind_too, data = self.objects[object_id]
        assert kind == kind_too
        assert data == canonical(json.loads(data))
        return json.loads(data)

    def folder(self, node_id: str, prefix: str = "") -> dict[str, list[Any]]:
        """Section 5.1, all that it promises checked."""
        node = self.json_of(TREE, node_id)
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
            node = self.json_of(TREE, node_id)
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
            checkpoint = self.json_of(CHECKPOINT, at)
            yield checkpoint
            at = checkpoint["parent"]


def unescaped(name: str) -> str:
    """Section 7.1."""
    name = re.sub(r"\^([a-z])", lambda found: found[1].upper(), name)
    return re.sub(b"%(..)", lambda found: bytes.fromhex(found[1].decode()), name.encode()).decode()
