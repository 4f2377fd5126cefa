"""`report`: which runs it shows, where it writes, and what it does where it cannot."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

from kit.program import Program, Quick
from kit.stores import flip
from kit.users import as_ordinary_user, open_folder
from maverick.checkpoints import Store, note
from maverick.errors import MaverickError
from maverick.views.report.writing import write_file

FLOW = """
    - {name: good, type: shell, run: "echo fine"}
    - {name: bad, type: shell, run: "echo sad; exit 1"}
    """


def _data(file: Path) -> dict[str, object]:
    """What the first run of a page holds."""
    found = re.search(
        r'<script type="application/json" id="run-0">(.*?)</script>', file.read_text()
    )
    assert found is not None
    data = json.loads(found[1])
    assert isinstance(data, dict)
    return data


@pytest.fixture
def ran(quick: Quick) -> Quick:
    """A project with a run that failed."""
    quick.program.flow(FLOW)
    assert 1 == quick("run", "flow.yaml").code
    return quick


def test_the_newest_run_becomes_a_page_of_its_name(ran: Quick) -> None:
    done = ran("report")

    [file] = ran.program.root.glob("*.html")
    assert (0, "") == (done.code, done.out)
    assert f"wrote {file.name}: " in done.err
    assert ("failed", "bad", file.stem) == tuple(
        _data(file)[name] for name in ("status", "failed_at", "run")
    )


def test_a_page_can_be_named_or_put_into_a_folder(ran: Quick) -> None:
    (ran.program.root / "pages").mkdir()

    named = ran("report", "flow@latest", "-o", "a b.html", "--json")
    inside = ran("report", "--output", "pages", "--json")

    assert {"file": "a b.html", "pages": ["a b.html"]} == {
        name: named.json[name] for name in ("file", "pages")
    }
    assert (ran.program.root / "a b.html").stat().st_size == named.json["bytes"]
    assert (ran.program.root / inside.json["file"]).exists()


def test_a_page_of_that_name_is_replaced_whole(ran: Quick) -> None:
    """A report is made anew each time. Who reads it meanwhile has the old one or the new one."""
    file = ran.program.root / "r.html"
    file.write_text("old")

    with file.open() as before:
        ran("report", "-o", "r.html")

        assert "old" == before.read()
    assert "failed" == _data(file)["status"]
    assert ["r.html"] == [each.name for each in ran.program.root.iterdir() if "html" in each.name]
    mask = os.umask(0)
    os.umask(mask)
    assert 0o666 & ~mask == stat.S_IMODE(file.stat().st_mode)


def test_a_link_is_followed_and_a_pipe_is_written_into(ran: Quick, program: Program) -> None:
    target = ran.program.root / "target.html"
    (ran.program.root / "link.html").symlink_to(target)

    ran("report", "-o", "link.html")
    piped = program.shell("maverick report -o /dev/stdout | head -c 15")

    assert "failed" == _data(target)["status"]
    assert (ran.program.root / "link.html").is_symlink()
    assert "<!doctype html>" == piped.out


def test_a_hyphen_is_standard_output(ran: Quick, program: Program) -> None:
    ran("report", "-o", "r.html")
    piped = program.run("report", "-o", "-")

    assert (0, "") == (piped.code, piped.err)
    made = re.compile("[0-9: -]{19} UTC")
    assert made.sub("", (ran.program.root / "r.html").read_text()) == made.sub("", piped.out)
    assert not (ran.program.root / "-").exists()
    for option in ("--all", "--json"):
        refused = ran("report", "-o", "-", option)
        assert (2, True) == (refused.code, f"{option} needs -o with a name" in refused.err)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("none/r.html", "No such file or directory"),
        ("flow.yaml/r.html", "Not a directory"),
        ("x" * 300 + ".html", "File name too long"),
    ],
)
def test_where_nothing_can_be_written_it_says_so(ran: Quick, output: str, said: str) -> None:
    done = ran("report", "-o", output)

    assert (1, True) == (done.code, said in done.err)
    assert "cannot write" in done.err


def test_into_a_folder_that_is_not_writable_nothing_is_written() -> None:
    with open_folder() as folder:
        folder.chmod(0o555)

        def act() -> str:
            try:
                write_file(folder / "r.html", "text")
            except MaverickError as error:
                return str(error)
            return ""

        assert f"cannot write {folder}/r.html: Permission denied" == as_ordinary_user(act)
        assert [] == list(folder.iterdir())


def test_several_runs_share_a_page_that_is_named(ran: Quick) -> None:
    ran("run", "flow.yaml")

    unnamed = ran("report", "@latest", "@{1}")
    named = ran("report", "@latest", "@{1}", "-o", "both.html")

    assert (2, 0) == (unnamed.code, named.code)
    assert 'id="run-1"' in (ran.program.root / "both.html").read_text()


def test_all_runs_have_pages_and_an_index_that_leads_to_them(ran: Quick) -> None:
    ran("run", "flow.yaml")

    done = ran("report", "--all", "-o", "public", "--json")

    public = ran.program.root / "public"
    links = re.findall(r'href="(runs/[^"]+)"', (public / "index.html").read_text())
    assert 2 == len(links)
    assert all((public / link).exists() for link in links)
    assert ["public/index.html", *(f"public/{link}" for link in links)] == done.json["pages"]
    assert 0 == ran("report", "--all", "-o", "public").code


@pytest.mark.parametrize("args", [["--all"], ["--all", "@latest", "-o", "x"]])
def test_all_asks_for_a_folder_and_takes_no_names(ran: Quick, args: list[str]) -> None:
    assert 2 == ran("report", *args).code


def test_a_damaged_run_is_told_and_the_others_have_their_pages(ran: Quick) -> None:
    ran("run", "flow.yaml")
    runs = ran("runs", "--json").json
    ref = next(
        path
        for path in (ran.program.root / ".maverick" / "checkpoints").rglob("*")
        if path.is_file() and path.name.startswith(runs[0]["run"]) and "ref" in str(path.parent)
    )
    ref.write_bytes(b"nonsense")

    done = ran("report", "--all", "-o", "public", "--json")

    assert 0 == done.code
    assert 2 == len(done.json["pages"])
    assert "warning" in done.err


def test_no_runs_exits_10(quick: Quick) -> None:
    assert [10, 10] == [quick("report").code, quick("report", "--all", "-o", "x").code]


def test_a_run_that_is_not_there_exits_10_and_writes_nothing(ran: Quick) -> None:
    assert 10 == ran("report", "nosuchrun", "-o", "r.html").code
    assert not (ran.program.root / "r.html").exists()


def test_a_run_that_is_not_of_a_workflow_has_a_page(quick: Quick) -> None:
    quick("checkpoint", "create")

    done = quick("report", "-o", "r.html")

    assert 0 == done.code, done.err
    assert (None, []) == tuple(
        _data(quick.program.root / "r.html")[name] for name in ("graph", "steps")
    )


def test_a_running_run_has_a_page(program: Program) -> None:
    program.flow('- {name: slow, type: shell, run: "echo begun; touch $MARK; sleep 60"}')
    running = program.begin("run", "flow.yaml").wait_for(program.mark)

    done = program.run("report", "-o", "r.html")
    running.signal(2)
    running.end()

    assert 0 == done.code, done.err
    data = _data(program.root / "r.html")
    assert ("running", "running") == (data["status"], data["steps"][0]["status"])  # type: ignore[index]


@pytest.mark.parametrize("damage", ["gone", "nonsense", "flipped"])
def test_a_run_without_its_facts_has_a_page_without_times(ran: Quick, damage: str) -> None:
    """As one that an earlier version made, or whose facts a disk has lost."""
    store = Store.open(ran.program.root / ".maverick" / "checkpoints")
    tip = store.resolve("@latest")
    if damage == "flipped":
        facts = {("steps", "good"): note("{}")}
        tip = store.save(tip.run, {}, parent=tip, kind="failure", facts=facts)
        entry = store.snapshot(tip).find_fact(("steps",))
        assert entry is not None
        # What is above it, and the checkpoint, are in another pack.
        store.save(tip.run, {}, parent=tip, kind="failure", facts={("other",): note("{}")})
        flip(store, entry.id, 3)
    else:
        notes = {("steps",): None} if damage == "gone" else {("steps", "good"): note("}{")}
        store.save(tip.run, {}, parent=tip, kind="failure", facts=notes)

    done = ran("report", "-o", "r.html")

    assert 0 == done.code, done.err
    data = _data(ran.program.root / "r.html")
    assert {"good", "bad"} == {step["path"] for step in data["steps"]}  # type: ignore[attr-defined]
    assert (damage == "gone") != (
        "cannot be read" in (ran.program.root / "r.html").read_text().partition("<section")[0]
    )


def test_secrets_of_the_project_are_not_in_the_page(program: Program) -> None:
    program.file("maverick.yaml", "secrets: [TOKEN]\n")
    program.flow("- {name: a, type: shell, run: 'echo it is $TOKEN; echo late-secret'}")
    program.run("run", "flow.yaml", TOKEN="sesame-open")

    program.run("report", "-o", "r.html", TOKEN="late-secret")

    page = (program.root / "r.html").read_text()
    assert "sesame-open" not in _logs(page)
    assert "late-secret" not in _logs(page)


def _logs(page: str) -> str:
    return "".join(re.findall(r'"logs":.*?</script>', page))
