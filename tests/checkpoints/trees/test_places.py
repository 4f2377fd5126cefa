"""What a text names: in a snapshot, and among the changes of a save."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maverick.checkpoints import Store, blob, existing, note, value
from maverick.dsl.paths import StepPath
from maverick.errors import NotFound, UsageError
from maverick.values import Value, key_path

NAMES = st.text('ab.[]"é 0', min_size=1, max_size=6)
WORDS = st.text("abc_-", min_size=1, max_size=3)
KEYS = st.text('ab.["]/ ', max_size=4)
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab", max_size=2) | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def step_paths(draw: st.DrawFn) -> StepPath:
    """Such as the engine makes: names, positions and keys, never an iteration first."""
    path = StepPath().child(draw(WORDS))
    for part in draw(
        st.lists(WORDS | st.integers(0, 12) | KEYS.map(lambda key: (key,)), max_size=4)
    ):
        if isinstance(part, str):
            path = path.child(part)
        else:
            path = path.item(part if isinstance(part, int) else part[0])
    return path


def ways(plain: Value, way: str = "") -> list[tuple[str, Value]]:
    """Every way into a value, as people write it."""
    found = [(way, plain)]
    if isinstance(plain, dict):
        for key, part in plain.items():
            found += ways(part, way + key_path(key))
    if isinstance(plain, list):
        for position, part in enumerate(plain):
            found += ways(part, f"{way}[{position}]")
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.create(tmp_path_factory.mktemp("store") / "checkpoints")


RUNS = iter(range(1_000_000))


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), VALUES, max_size=4))
def test_what_is_saved_under_a_text_is_found_under_it(
    store: Store, saved: dict[str, Value]
) -> None:
    """Whatever the text is made of: it was once taken letter by letter, without a word."""
    for text in list(saved):
        if any(other.startswith(f"{text}/") for other in saved):
            del saved[text]  # A name is a folder or a value.

    checkpoint = store.save(f"run-{next(RUNS)}", {text: value(it) for text, it in saved.items()})

    snapshot = store.snapshot(checkpoint)
    assert saved == {text: snapshot.value(text) for text in saved}
    assert {tuple(text.split("/")) for text in saved} == {
        path for path, entry in snapshot.walk() if entry.kind != "tree"
    }


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(step_paths(), VALUES, min_size=1, max_size=5), VALUES)
def test_the_names_of_the_command_line_are_those_of_a_snapshot(
    store: Store, outputs: dict[StepPath, Value], given: Value
) -> None:
    """Of every step, at any depth, with any key, and of every part of what it gave."""
    changes = {("steps", path): value(output) for path, output in outputs.items()}
    checkpoint = store.save(f"run-{next(RUNS)}", {**changes, ("inputs",): value({"x": given})})

    snapshot = store.snapshot(checkpoint)
    for path, output in outputs.items():
        for way, part in ways(output):
            assert part == snapshot.value(f"steps.{path}.output{way}")
        assert snapshot.entry(("steps", path)) == snapshot.find(f"steps.{path}.output")
    for way, part in ways(given):
        assert part == snapshot.value(f"inputs.x{way}")


@pytest.fixture
def saved(tmp_path: Path) -> Store:
    """A run with a loop, and a file."""
    store = Store.create(tmp_path / "checkpoints")
    outputs = {"plan": {"output": 1, "tasks": [{"title": "a.b"}]}, "work": [7], "work[0].plan": 8}
    steps = {("steps", path): value(output) for path, output in outputs.items()}
    files = {("definition", ".maverick/workflows/a.yaml"): blob(b"x"), ("src", "a.py"): blob(b"y")}
    store.save("run", {**steps, **files, ("inputs",): value({"output": 5})}, facts={"began": "now"})
    return store


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps.plan.output.tasks[0].title", "a.b"),
        ("steps.plan.output.tasks[-1]", {"title": "a.b"}),
        ("steps/plan.output.output", 1),
        ("steps.plan", {"output": 1, "tasks": [{"title": "a.b"}]}),
        ("steps.work.output[0]", 7),
        ("steps.work[0].plan.output", 8),
        ("steps/work[0].plan", 8),
        ("inputs.output", 5),
    ],
)
def test_a_value_has_the_name_that_the_command_line_gives_it(
    saved: Store, text: str, expected: Value
) -> None:
    assert expected == saved.load("run").value(text)


def test_bytes_and_folders_have_such_names_too(saved: Store) -> None:
    """A name with dots and slashes in it is found whole."""
    snapshot = saved.load("run")

    assert b"x" == snapshot.data("definition/.maverick/workflows/a.yaml")
    assert b"y" == snapshot.data("src.a.py")
    assert [("src", "a.py")] == [path for path, _ in snapshot.walk("src")]
    assert b"8" == b"".join(snapshot.stream("steps.work[0].plan.output"))
    assert "now" == snapshot.fact_value("began")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps.plan.tasks", "there is no steps.plan.tasks in checkpoint"),
        ("steps.plan.output.task", "did you mean tasks"),
        ("steps.plan.output.tasks[1]", "steps.plan.output.tasks has 1 items"),
        ("steps.work.output[0].x", r"steps.work.output\[0\] is a number"),
        ("inputs.outputs", "there is no inputs.outputs; did you mean output"),
        ("steps.none.output", "there is no steps.none.output in checkpoint"),
        ("src.a.py.output", "there is no src.a.py.output in checkpoint"),
    ],
)
def test_what_is_not_there_is_said(saved: Store, text: str, message: str) -> None:
    with pytest.raises(NotFound, match=message):
        saved.load("run").value(text)


def test_a_text_that_is_no_way_is_refused(saved: Store) -> None:
    with pytest.raises(UsageError, match="is no path"):
        saved.load("run").value("inputs.output[x]")


def test_a_fact_that_is_a_value_is_no_text(saved: Store) -> None:
    """Its text was once empty."""
    with pytest.raises(NotFound, match="ask `fact_value`"):
        saved.load("run").fact("began")


# --- changes --------------------------------------------------------------------------------------


def test_a_save_names_what_a_snapshot_of_its_parent_names(saved: Store) -> None:
    """Else the output would be changed for who reads it by the same text, and for nobody else."""
    parent = saved.resolve("run")

    saved.save("run", {"steps.work[0].plan.output": 9, "src.a.py": None}, parent=parent)

    snapshot = saved.load("run")
    assert 9 == snapshot.value(("steps", "work[0].plan"))
    assert ["definition", "inputs", "steps"] == snapshot.names()


def test_a_part_of_a_value_cannot_be_saved(saved: Store) -> None:
    """A value is stored as a whole."""
    parent = saved.resolve("run")

    with pytest.raises(UsageError, match="is a part of the value inputs"):
        saved.save("run", {"inputs.output": 6}, parent=parent)


@pytest.mark.parametrize("path", [1, b"a", ["a"], ("a", 1), None])
def test_a_path_of_another_type_is_refused(saved: Store, path: object) -> None:
    if isinstance(path, list):
        with pytest.raises(UsageError, match="is no path"):
            saved.load("run").value(path)  # type: ignore[arg-type]
        return
    with pytest.raises(UsageError, match="is no path"):
        saved.save("other", {path: 1})  # type: ignore[type-var]


def test_a_place_is_changed_once(saved: Store) -> None:
    """Which of the two would stand there, nobody could say."""
    both: dict[str | tuple[str, ...], int] = {"a/b": 1, ("a", "b"): 2}

    with pytest.raises(UsageError, match="a/b stands twice"):
        saved.save("other", both)


def test_an_entry_is_no_value(saved: Store) -> None:
    """A record of the store's own would be stored as its fields."""
    entry = saved.load("run").entry("inputs")

    with pytest.raises(UsageError, match="existing"):
        saved.save("other", {"copy": entry})
    saved.save("other", {"copy": existing(entry), "text": note("x")})
    assert {"output": 5} == saved.load("other").value("copy")
