"""Figures of peers.py, by line and subject; and all of them as one table of Markdown."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from adapters import LIMITS, PLACES
from workloads import SCALES

OURS = next(iter(PLACES))
BARE = LIMITS[0]
TITLES = {
    "long": "(a) long: one of {steps} saves, 20 kB new",
    "reruns": "(b) reruns: one of {runs} x {run_steps} saves, 20 kB",
    "wide": "(c) wide: a save of {wide:,} results of 400 B",
    "large": "(d) large: {large:.0f} MB",
    "large again": "(d) again, 5 kB inserted",
    "transcript": "(e) transcript: one of {turns} saves, 25 kB longer each",
    "load newest": "(f) load the newest: {steps} x 20 kB",
    "load old": "(f) load an old one: {half} x 20 kB",
    "diff": "(g) diff of {many:,} steps, 3 differ",
    "gc": "(h) gc: all but 5 of {gc_runs:,} runs go",
    "tiny": "(i) tiny: one of 3 x {steps} saves of 200 B",
}
SAVES = ("long", "tiny", "reruns", "wide", "large", "large again", "transcript")
_WORKLOAD = {"large again": "large", "load newest": "long", "load old": "long"}


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one subject on one line; bytes and files None where the line stores
    nothing.
    """

    subject: str
    line: str
    durable: str
    seconds: tuple[float, ...]
    processor: tuple[float, ...]
    stopped: bool
    fsyncs: float | None
    bytes: int | None
    compact: int | None
    files: int | None
    peak: int
    missing: str = ""

    @property
    def median(self) -> float:
        """Seconds of an operation."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """The times below which one operation in ten, and nine in ten are."""
        ordered = sorted(self.seconds)
        last = len(ordered) - 1
        return ordered[round(last * 0.1)], ordered[round(last * 0.9)]

    def times(self, other: Figures) -> float:
        """Give how many times longer an operation takes than one of *other*, over those that both
        came to.
        """
        count = (
            min(len(self.seconds), len(other.seconds)) if self.stopped or other.stopped else None
        )
        return statistics.median(self.seconds[:count]) / statistics.median(other.seconds[:count])


def _titles(results: dict[str, Any]) -> dict[str, str]:
    scale = SCALES[results["scale"]]
    numbers = asdict(scale) | {"large": scale.large_bytes / 1e6, "half": scale.steps // 2}
    return {line: title.format(**numbers) for line, title in TITLES.items()}


def figures(results: dict[str, Any]) -> dict[str, list[Figures]]:
    """Give the figures of each line, in the order of the table."""
    found: dict[str, list[Figures]] = {}
    for line in TITLES:
        workload = _WORKLOAD.get(line, line)
        workers = {it["subject"]: it for it in results["workers"] if it["workload"] == workload}
        rows = [_figures(results, name, line, workers.get(name)) for name in PLACES]
        if workers:
            found[line] = rows
    return found


def _figures(
    results: dict[str, Any], subject: str, line: str, worker: dict[str, Any] | None
) -> Figures:
    about = results["subjects"][subject]
    workload = _WORKLOAD.get(line, line)
    kind = "load" if line.startswith("load") else workload
    worker = worker or {"samples": [], "stored": [], "peak": 0, "failure": ""}
    stored = [it for it in worker["stored"] if it["line"] == workload]
    shown = line in {*SAVES, "gc"} and line != "large"
    plain = [it for it in stored if not it["compact"]] if shown and line != "gc" else []
    compact = [it for it in stored if it["compact"]] if shown else []
    counted = results["counted"].get(subject, {}).get(line)
    samples = [sample for sample in worker["samples"] if sample[0] == line]
    seconds = tuple(sample[1] for sample in samples)
    return Figures(
        subject=subject,
        line=line,
        durable=about["durable"],
        seconds=seconds,
        processor=tuple(sample[2] for sample in samples),
        stopped=line in SAVES and not stored,
        fsyncs=statistics.mean(counted["syncs"]) if counted else None,
        bytes=plain[0]["bytes"] if plain else None,
        compact=compact[-1]["bytes"] if compact else None,
        files=(plain or compact)[0]["files"] if plain or compact else None,
        peak=stored[0]["peak"] if stored and line == "long" else worker["peak"],
        missing="" if seconds else worker["failure"][-60:] or about["skips"].get(kind, "not asked"),
    )


def render(results: dict[str, Any]) -> str:
    """Give the page: machine, subjects, all figures."""
    lines = figures(results)
    about = [f"* {name}: {value}" for name, value in results["machine"].items()]
    taken = f"{results['scale']} scale, {results['seconds']} s in all"
    how = [
        f"* {name}: {it['how']}. Durable: {it['durable']}."
        for name, it in results["subjects"].items()
    ]
    return "\n".join(
        [
            "",
            *about,
            f"* taken: {taken}",
            "",
            *how,
            "",
            *_all(results, lines),
            "",
        ]
    )


def _all(results: dict[str, Any], lines: dict[str, list[Figures]]) -> list[str]:
    titles = _titles(results)
    rows = [
        (
            "| | durable | ms | p10 - p90 | x maverick | fsyncs | MB | x zstd | after gc | files | "
            "peak MB |"
        ),
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for line, found in lines.items():
        rows.append(f"| **{titles[line]}** | | | | | | | | | | |")
        ours = next((it for it in found if it.subject == OURS and it.seconds), None)
        rows += [_row(results, it, ours) for it in found if not _is_out(it)]
    return rows


def _is_out(it: Figures) -> bool:
    """Say whether a row would only say that a limit or a variant has nothing to add."""
    return bool(it.missing) and (it.subject in LIMITS or it.missing.startswith("as the"))


def _row(results: dict[str, Any], it: Figures, ours: Figures | None) -> str:
    if it.missing:
        return f"| {it.subject} | {it.durable} | - ({it.missing}) | | | | | | | | |"
    zstd = results["distinct"].get(_WORKLOAD.get(it.line, it.line), {}).get("pieces")
    low, high = it.spread
    stored = it.subject not in LIMITS
    cells = [
        it.subject,
        it.durable,
        _ms(it.median) + (f" ({len(it.seconds)} saves)" if it.stopped else ""),
        f"{_ms(low)} - {_ms(high)}" if len(it.seconds) > 1 else "",
        f"{it.times(ours):.2f}" if ours and it is not ours else "",
        "" if it.fsyncs is None else f"{it.fsyncs:.1f}".removesuffix(".0"),
        _megabytes(it.bytes) if stored else "",
        _ratio(it.bytes, zstd) if stored else "",
        _ratio(it.compact, zstd) if stored else "",
        str(it.files) if stored and it.files is not None else "",
        f"{it.peak / 1e6:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _ms(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.2f}"


def _ratio(size: int | None, of: int | None) -> str:
    return "" if size is None or not of else f"{size / of:.2f}"
