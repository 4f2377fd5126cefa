"""What is given to a workflow is made to fit what it declares; all that does not fit is told at
once.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maverick.dsl.serialization.loader import parse_workflow
from maverick.dsl.workflow.inputs import convert_inputs
from maverick.dsl.workflow.model import Workflow
from maverick.errors import InputInvalid
from maverick.values import Value

DECLARED = """
version: "1.0"
name: w
inputs:
  branch_name: {type: string, required: true, description: Branch to work on}
  limit: {type: integer, default: 3}
  ratio: {type: float, required: false}
  number: {type: number, required: false}
  draft: {type: boolean, default: no}
  flags: {type: array, required: false}
  extra: {type: object, required: false}
  mode: {type: string, choices: [fast, full], default: fast}
steps: [{name: a, type: checkpoint}]
"""


@pytest.fixture(scope="module")
def workflow() -> Workflow:
    return parse_workflow(DECLARED, "w.yaml")


def converted(workflow: Workflow, name: str, text: str) -> Value:
    """Give the value that `-i name=text` comes to."""
    return convert_inputs(workflow, {"branch_name": "b", name: text}, from_text=True)[name]


def test_what_is_not_given_has_its_default_or_is_null(workflow: Workflow) -> None:
    assert {
        "branch_name": "b",
        "limit": 3,
        "ratio": None,
        "number": None,
        "draft": False,
        "flags": None,
        "extra": None,
        "mode": "fast",
    } == convert_inputs(workflow, {"branch_name": "b"}, from_text=False)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("branch_name", "null", "null"),
        ("branch_name", " 5 ", " 5 "),
        ("limit", "5", 5),
        ("limit", "-5", -5),
        ("limit", "null", None),
        ("ratio", "3", 3.0),
        ("ratio", "1e3", 1000.0),
        ("ratio", ".inf", float("inf")),
        ("number", "3", 3),
        ("number", "2.5", 2.5),
        ("draft", "yes", True),
        ("draft", "No", False),
        ("draft", "on", True),
        ("draft", "OFF", False),
        ("draft", "1", True),
        ("draft", "0", False),
        ("draft", "true", True),
        ("flags", '["a", 1]', ["a", 1]),
        ("flags", "[]", []),
        ("extra", '{"a": {"b": null}}', {"a": {"b": None}}),
        ("mode", "full", "full"),
    ],
)
def test_a_text_is_converted_by_the_declared_type(
    workflow: Workflow, name: str, text: str, expected: Value
) -> None:
    value = converted(workflow, name, text)

    assert (expected, type(expected)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("limit", "many", "limit (integer): an integer is expected, not 'many'"),
        ("limit", "5.0", "limit (integer): an integer is expected, not '5.0'"),
        ("limit", "1_000", "limit (integer): an integer is expected, not '1_000'"),
        ("limit", "true", "limit (integer): an integer is expected, not 'true'"),
        ("limit", "", "limit (integer): an integer is expected, not ''"),
        ("ratio", "half", "ratio (float): a number is expected, not 'half'"),
        ("ratio", "1e999", "ratio (float): a number is expected, not '1e999'"),
        ("draft", "maybe", "draft (boolean): a boolean (true or false) is expected, not 'maybe'"),
        ("draft", "2", "draft (boolean): a boolean (true or false) is expected, not '2'"),
        (
            "flags",
            "a,b",
            """flags (array): a list (JSON, such as ["a", "b"]) is expected, not 'a,b'""",
        ),
        (
            "flags",
            '{"a": 1}',
            """flags (array): a list (JSON, such as ["a", "b"]) is expected, not {'a': 1}""",
        ),
        (
            "flags",
            "[" * 100_000,
            f"""flags (array): a list (JSON, such as ["a", "b"]) is expected, not '{"[" * 78}…""",
        ),
        (
            "extra",
            "[1]",
            """extra (object): a mapping (JSON, such as {"a": 1}) is expected, not [1]""",
        ),
        ("mode", "slow", "mode (string): one of 'fast', 'full' is expected, not 'slow'"),
    ],
)
def test_what_does_not_fit_is_told_with_input_type_and_value(
    workflow: Workflow, name: str, text: str, expected: str
) -> None:
    with pytest.raises(InputInvalid) as raised:
        converted(workflow, name, text)

    assert f"The inputs do not fit the workflow `w`:\n  {expected}" == str(raised.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("limit", None, None),
        ("ratio", 3, 3.0),
        ("number", 3, 3),
        ("draft", "yes", True),
        ("draft", False, False),
        ("flags", ["a"], ["a"]),
        ("mode", None, None),
    ],
)
def test_a_value_is_taken_if_it_is_of_the_type(
    workflow: Workflow, name: str, value: Value, expected: Value
) -> None:
    given = convert_inputs(workflow, {"branch_name": "b", name: value}, from_text=False)[name]

    assert (expected, type(expected)) == (given, type(given))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", True),
        ("limit", "3"),
        ("limit", 3.0),
        ("ratio", False),
        ("ratio", "1"),
        ("ratio", 10**400),
        ("draft", 1),
        ("draft", "1"),
        ("flags", "a"),
        ("extra", []),
        ("branch_name", 5),
        ("branch_name", None),
        ("mode", True),
    ],
)
def test_a_value_of_another_type_is_refused(workflow: Workflow, name: str, value: Value) -> None:
    """Nothing is guessed where types are known: a boolean is no integer, a text no number."""
    with pytest.raises(InputInvalid, match=rf"\n  {name} \("):
        convert_inputs(workflow, {"branch_name": "b", name: value}, from_text=False)


def test_true_is_not_among_the_choices_of_integers() -> None:
    """In Python `True == 1`."""
    text = (
        'version: "1.0"\nname: w\ninputs: {n: {type: integer, choices: [0, 1]}}\nsteps: [{name: '
        "a, type: checkpoint}]\n"
    )
    workflow = parse_workflow(text, "w.yaml")

    with pytest.raises(InputInvalid, match="an integer is expected, not true"):
        convert_inputs(workflow, {"n": True}, from_text=False)


def test_everything_that_is_wrong_is_told_at_once(workflow: Workflow) -> None:
    with pytest.raises(InputInvalid) as raised:
        convert_inputs(workflow, {"limt": "3", "zzz": "1", "limit": "x"}, from_text=True)

    assert (
        "The inputs do not fit the workflow `w`:\n"
        "  limt is no input; did you mean `limit`?\n"
        "  zzz is no input; there are branch_name, limit, ratio, number, draft, flags, extra, "
        "mode\n"
        "  branch_name (string) is required: Branch to work on\n"
        "  limit (integer): an integer is expected, not 'x'"
    ) == str(raised.value)


def test_a_required_input_cannot_be_null(workflow: Workflow) -> None:
    with pytest.raises(InputInvalid, match="a text is expected, not null"):
        convert_inputs(workflow, {"branch_name": None}, from_text=False)


@given(
    name=st.sampled_from(["limit", "ratio", "number", "draft", "flags", "extra", "mode"]),
    text=st.text(),
)
def test_any_text_is_converted_or_refused(workflow: Workflow, name: str, text: str) -> None:
    try:
        value = converted(workflow, name, text)
    except InputInvalid:
        return
    again = convert_inputs(workflow, {"branch_name": "b", name: value}, from_text=False)[name]
    assert repr(value) == repr(again)


@pytest.mark.parametrize("from_text", [True, False])
def test_an_input_that_cannot_be_stored_is_refused(workflow: Workflow, *, from_text: bool) -> None:
    """Before there is a run that could not record it."""
    deep: list[Value] = []
    for _ in range(300):
        deep = [deep]
    given = "[" * 300 + "]" * 300 if from_text else deep

    with pytest.raises(
        InputInvalid,
        match=r"flags \(array\): lists and mappings are nested more than 200 deep: make",
    ):
        convert_inputs(workflow, {"branch_name": "b", "flags": given}, from_text=from_text)
