"""What is asked whether it is true: `when`, `until`, options. A text that says `false` is no
answer.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.runs import Runs
from maverick.dsl.expressions import evaluate
from maverick.dsl.expressions.expressions import SourcePlace, parse_expression
from maverick.dsl.expressions.scope import Frame
from maverick.errors import ExpressionFailed
from maverick.values import Value

FALSE_TEXTS = ("false", "no", "off", "0")
_WORDS = st.sampled_from(FALSE_TEXTS).flatmap(
    lambda word: st.tuples(
        st.text(" \t\n", max_size=2),
        st.sampled_from([word, word.upper(), word.title()]),
        st.text(" \n", max_size=2),
    ).map("".join)
)


def _holds(text: str, **inputs: Value) -> bool:
    frame = Frame(inputs=inputs, env={}, run={}, project_root=None)  # type: ignore[arg-type]
    expression = parse_expression(text, SourcePlace("flow.yaml", 7, 9))
    return evaluate.holds(expression, evaluate.condition(expression, frame))


@given(
    word=_WORDS,
    question=st.sampled_from(
        [
            "inputs.x",
            "not inputs.x",
            "inputs.x and true",
            "false or inputs.x",
            "not (true and inputs.x)",
            "1 if inputs.x else 2",
            "inputs.x if true else 1",
            "not (inputs.x or 1)",
        ]
    ),
)
def test_a_text_that_says_no_is_no_answer_wherever_it_decides(word: str, question: str) -> None:
    """As in Python it would count as true: what it guards would be done."""
    with pytest.raises(
        ExpressionFailed, match=r"^flow.yaml:7:9: `.*`: it gives the text '.*== 'true'"
    ):
        _holds(question, x=word)


@given(word=_WORDS)
def test_a_text_that_is_compared_or_never_reached_is_fine(word: str) -> None:
    assert _holds("inputs.x != 'true'", x=word)
    assert not _holds("inputs.x == 'true'", x=word)
    assert _holds("len(inputs.x) > 0", x=word)
    assert _holds("true or inputs.x", x=word)
    assert not _holds("false and inputs.x", x=word)


@given(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.just("no")), st.text()
    ).filter(lambda value: not isinstance(value, str) or value.strip().lower() not in FALSE_TEXTS)
)
def test_every_other_value_is_true_as_in_python(value: Value) -> None:
    """Null, 0, an empty text, list and mapping are false."""
    assert bool(value) == _holds("inputs.x", x=value)
    assert (not value) == _holds("not inputs.x", x=value)


_PRINTS = '- {name: check, type: python, action: give, args: ["False "]}'
_FORMS = {
    "when": "- {name: deploy, type: python, action: do, args: [deploy], when: steps.check.output}",
    "option": """- name: deploy
  type: branch
  options: [{when: steps.check.output, step: {name: go, type: python, action: do, args: [deploy]}}]""",
    "until": """- name: deploy
  type: loop
  until: steps.poll.output
  steps:
    - {name: poll, type: python, action: give, args: ["no"]}""",
    "parallel": """- name: deploy
  type: loop
  parallel: ${{ steps.check.output }}
  for_each: [1]
  steps: [{name: go, type: python, action: do, args: [deploy]}]""",
}


@pytest.mark.parametrize("form", _FORMS)
def test_a_step_whose_condition_is_such_a_text_fails_with_its_place(runs: Runs, form: str) -> None:
    runs.flow(f"{_PRINTS}\n{_FORMS[form]}\n")

    failed = runs.start()

    assert "failed" == failed.status
    assert failed.error.startswith("step deploy: flow.yaml:")
    assert "it gives the text '" in failed.error
    assert "deploy" not in runs.log


def test_the_plan_says_that_the_condition_would_fail(runs: Runs) -> None:
    """As for every condition that cannot be evaluated."""
    runs.flow(f"{_PRINTS}\n{_FORMS['when']}\n")
    runs.start()

    again = runs.resume()

    assert "it gives the text 'False'" in again.error
    assert [] == again.executed


def test_a_condition_that_cannot_be_evaluated_fails_the_run_with_its_place(runs: Runs) -> None:
    """It is no `false`."""
    runs.flow("- {name: a, type: python, action: do, args: [a], when: 1 < 'x'}")

    failed = runs.start()

    assert ("failed", []) == (failed.status, runs.log)
    assert "flow.yaml:4:" in failed.error
