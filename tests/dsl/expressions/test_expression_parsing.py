"""What the parser accepts, how operators bind, and what it says about everything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.asking import PLACE, ask
from maverick.dsl.expressions.expressions import (
    Expression,
    ExpressionSyntaxError,
    Template,
    parse_expression,
    parse_template,
)
from maverick.dsl.expressions.parser import MAX_LENGTH


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("(1 if 0 else (2 if 0 else 3))", "1 if 0 else 2 if 0 else 3"),
        ("((1 or 2) if 0 else 3)", "1 or 2 if 0 else 3"),
        ("(1 if (0 or 1) else 2)", "1 if 0 or 1 else 2"),
        ("(1 if 1 else (0 or 2))", "1 if 1 else 0 or 2"),
        ("(0 or (1 and 0))", "0 or 1 and 0"),
        ("((1 and 0) or 2)", "1 and 0 or 2"),
        ("((not 1) or 2)", "not 1 or 2"),
        ("((not 0) and 2)", "not 0 and 2"),
        ("(not (1 == 2))", "not 1 == 2"),
        ("(not (1 in [1]))", "not 1 in [1]"),
        ("(not (not 3))", "not not 3"),
        ("((1 + 1) == 2)", "1 + 1 == 2"),
        ("(3 == (1 + 2))", "3 == 1 + 2"),
        ("((1 + 1) in [2])", "1 + 1 in [2]"),
        ("((1 + 1) not in [2])", "1 + 1 not in [2]"),
        ("(1 + (2 * 3))", "1 + 2 * 3"),
        ("((1 * 2) + 3)", "1 * 2 + 3"),
        ("((1 - 2) - 3)", "1 - 2 - 3"),
        ("((12 / 3) / 2)", "12 / 3 / 2"),
        ("((12 // 5) % 2)", "12 // 5 % 2"),
        ("((7 % 4) * 3)", "7 % 4 * 3"),
        ("(10 - (7 % 4))", "10 - 7 % 4"),
        ("((-2) * (-3))", "-2 * -3"),
        ("((-7) // 2)", "-7 // 2"),
        ("(1 - (-1))", "1 - -1"),
        ("(-(-1))", "--1"),
        ("((-1) + 2)", "-1 + 2"),
        ("(-([5, 6][1]))", "-[5, 6][1]"),
        ("(-(len('abc')))", "-len('abc')"),
        ('(({"a": 1}.a) + 1)', '{"a": 1}.a + 1'),
    ],
)
def test_operators_bind_as_the_language_says(expected: str, text: str) -> None:
    """Parentheses that spell out the precedence change nothing, and the result is Python's."""
    assert ask(expected) == ask(text)


SIGNS = [
    " or ",
    " and ",
    " == ",
    " != ",
    " < ",
    " <= ",
    " > ",
    " >= ",
    " + ",
    " - ",
    " * ",
    " / ",
    " % ",
    " // ",
]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "-", "not ", "not -"]), st.integers(0, 9), st.sampled_from(SIGNS)
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["{0}", "{0} if 0 else 3", "7 if {0} else 8 if 1 else 9", "({0})", "[{0}][0]"]),
)
def test_every_chain_of_operators_gives_what_python_gives(
    parts: list[tuple[str, int, str]], shape: str
) -> None:
    """Python's own parser is the judge of precedence, associativity and chained comparisons."""
    text = shape.format("".join(f"{prefix}{number}{sign}" for prefix, number, sign in parts) + "5")
    try:
        expected = eval(text)
    except (SyntaxError, ZeroDivisionError):
        with pytest.raises(Exception, match=r"not|zero|value"):
            ask(text)
    else:
        actual = ask(text)
        assert (type(expected), expected) == (type(actual), actual)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (None, "null"),
        (None, "None"),
        (True, "true"),
        (True, "True"),
        (False, "false"),
        (False, "False"),
        (0, "0"),
        (42, "42"),
        (-42, "-42"),
        (1.5, "1.5"),
        (1000.0, "1e3"),
        (0.015, "1.5E-2"),
        ("a", "'a'"),
        ("a", '"a"'),
        ("it's", '"it\'s"'),
        ("it's", r"'it\'s'"),
        ("a\nb\t\\", r"'a\nb\t\\'"),
        ("é😀é", r"'\u00e9\U0001F600\xe9'"),
        ("😀", r"'\ud83d\ude00'"),
        ("two\nlines", "'two\nlines'"),
        ("}}", "'}}'"),
        ("${{ x }}", "'${{ x }}'"),
        ([], "[]"),
        ([1, "a", [None]], "[1, 'a', [null],]"),
        ({}, "{}"),
        ({"a": 1, "b": {"c": 2}}, "{'a': 1, \"b\": {'c': 2},}"),
        ({"ab": 1}, "{'a' + 'b': 1}"),
        (3, "\n  1 +\n  2\n"),
        (3, "${{ 1 + 2 }}"),
        (3, "  ${{1 + 2}}\n"),
        ({"a": {"b": 1}}, "${{ {'a': {'b': 1}} }}"),
        ({"a": {"b": 1}}, "${{ {'a': {'b': 1}}}}"),
        (1, "{'if': 1}.if"),
        (1, "{'true': 1}.true"),
        (1, "{'größe': 1}.größe"),
    ],
)
def test_literals(expected: object, text: str) -> None:
    actual = ask(text)
    assert (type(expected), expected) == (type(actual), actual)


@pytest.mark.parametrize(
    ("offset", "message", "text"),
    [
        (0, "the expression is empty", ""),
        (3, "the expression is empty", "   "),
        (4, "the expression is empty", "${{ }}"),
        (3, "expected a value, found the end", "1 +"),
        (0, "there is no name `input`; did you mean `inputs`", "input.x"),
        (0, "there is no name `foo`: there is inputs, steps", "foo"),
        (0, "there is no function `lenn`; did you mean `len`", "lenn('a')"),
        (0, "there is no function `open`", "open('/etc/passwd')"),
        (0, "there is no function `inputs`", "inputs('a')"),
        (0, "`len` is a function: expected `\\(`", "len"),
        (0, r"len\(\) takes 1 argument, 2 given", "len('a', 'b')"),
        (0, r"default\(\) takes 2 arguments, 1 given", "default(1)"),
        (0, r"split\(\) takes 1 to 2 arguments, 3 given", "split(1, 2, 3)"),
        (0, r"min\(\) takes at least 1 argument, 0 given", "min()"),
        (5, r"values have no methods: write `upper\(value", "item.upper()"),
        (9, "only functions can be called", "item.a[0](1)"),
        (7, "only functions can be called", "item[0](1)"),
        (2, r"expected `\)` to close the parenthesis, found the end", "(1"),
        (5, r"expected `\]` to close the list, found the end", "[1, 2"),
        (4, "expected `:` between a key and its value, found `,`", "{'a', 1}"),
        (6, r"there are no slices", "item[1:2]"),
        (2, "unexpected `&&`: write `and`", "1 && 2"),
        (2, r"unexpected `\|\|`: write `or`", "1 || 2"),
        (2, "there are no filters", "1 | default(2)"),
        (0, "unexpected `!`: write `not`", "!item"),
        (5, "unexpected `=`: write `==`", "item = 1"),
        (5, "write `==` to compare", "item is null"),
        (3, "expected a value, found `\\*`", "2 ** 3"),
        (2, "write `x if condition else y`", "1 ? 2 : 3"),
        (6, "expected `else`", "1 if 2"),
        (5, "`not` binds weaker", "1 == not 2"),
        (0, "there is no unary `\\+`", "+1"),
        (0, "a number does not begin with 0", "007"),
        (0, "`1abc` is neither a number nor a name", "1abc"),
        (
            11,
            r'`2\.output` is neither .* in brackets, as in `steps\["step-2"\]',
            "steps.step-2.output",
        ),
        (7, r"`0\.a` is neither a number nor a name: an index is written `\[0\]`", "item.a.0.a"),
        (5, r"expected a name after `\.`, found `0`: an index is written `\[0\]`", "item.0"),
        (5, r"expected a name after `\.`, found the end", "item."),
        (2, r"unknown escape `\\d`", r"'a\d'"),
        (0, "half a surrogate pair", r"'\ud800'"),
        (1, "there is no character", r"'\Uffffffff'"),
        (4, "the string that begins here is never closed: expected `'`", "1 + 'abc"),
        (2, "expected an operator or the end of the expression, found `2`", "1 2"),
        (5, "there are no loops", "item for item in steps"),
        (0, "there are no functions of one's own", "lambda"),
        (0, "`\\$\\{\\{` is never closed", "${{ item"),
        (12, "inside one `", "${{ item }} == 1"),
        (7, "already: write the name alone", "1 + 1 +${{ item }}"),
        (5, "found `}`", "item }"),
        (0, "a number has at most", "9" * 5000),
    ],
)
def test_a_syntax_error_says_what_was_found_and_what_is_expected(
    offset: int, message: str, text: str
) -> None:
    with pytest.raises(ExpressionSyntaxError, match=message) as caught:
        parse_expression(text, PLACE)
    assert offset == caught.value.offset


def test_a_hostile_expression_is_an_error_and_no_crash() -> None:
    """Depth counts levels of the tree, so that neither parsing nor evaluating runs out of stack."""
    for text in [
        "(" * 10_000,
        "[" * 9_000,
        "-" * 9_000 + "1",
        "not " * 2_000 + "1",
        "item" + "[item" * 1_500,
        "{1:" * 3_000,
    ]:
        with pytest.raises(ExpressionSyntaxError):
            parse_expression(text, PLACE)
    leaning = "1"
    for _ in range(60):
        leaning = f"({leaning} * 1 + 0 == 1 and 1 or 1 if 1 else 1)"
    with pytest.raises(ExpressionSyntaxError, match="nested more than"):
        parse_expression(leaning, PLACE)


def test_depth_that_people_write_is_no_problem() -> None:
    """Chains of one precedence are flat: their length is no depth."""
    assert 3000 == ask("+".join(["1"] * 3000))
    assert 7 == ask("(" * 90 + "7" + ")" * 90)
    assert 80 == ask("".join(f"{n} if {n} == 80 else " for n in range(90)) + "0")


def test_an_expression_has_a_length_limit() -> None:
    with pytest.raises(ExpressionSyntaxError, match="at most 10,000 characters"):
        parse_expression("1" + " " * MAX_LENGTH + "+ 1", PLACE)
    assert "x" * 50_000 == parse_template("x" * 50_000, PLACE)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ((("steps", "plan", "output", "x"),), "steps.plan.output.x"),
        ((("steps", "plan", "output", 0, "x"),), "steps.plan['output'][0].x"),
        ((("steps", "my-step", "output", -1),), "steps.my-step.output[-1]"),
        ((("steps", "plan", "output"), ("index",)), "steps.plan.output[index].title"),
        (
            (("inputs", "a"), ("inputs", "b"), ("item",)),
            "inputs.a if inputs.b else item + inputs.a",
        ),
        ((("inputs",),), "inputs"),
        ((("inputs",), ("item", "key")), "inputs[item.key]"),
        ((("parent", "item", "id"),), "len(parent.item.id)"),
        ((("item", "a"), ("item", "b")), "[item.a, {'x': item.b}][0].c"),
        ((), "1 + 2"),
        ((), "env.HOME + run.id"),
    ],
)
def test_reads_are_the_static_paths(expected: object, text: str) -> None:
    assert expected == parse_expression(text, PLACE).reads


@pytest.mark.parametrize(
    ("volatile", "text"),
    [
        (False, "steps.a.output + inputs.b"),
        (True, "env.HOME"),
        (True, "run.id"),
        (True, "[1, {'a': glob('*')}]"),
        (True, "not exists('venv')"),
        (False, "hash(item)"),
    ],
)
def test_volatile_is_what_reads_the_world(volatile: bool, text: str) -> None:
    assert volatile == parse_expression(text, PLACE).volatile


def test_names_for_checks_before_the_run() -> None:
    """A check wants to know variables, calls and every name in the order of the text."""
    expression = parse_expression("default(env.TOKEN, env['HOME']) + inputs.x", PLACE)

    assert frozenset({"default"}) == expression.calls
    assert (("env", "TOKEN"), ("env", "HOME"), ("inputs", "x")) == expression.names


def test_the_text_of_an_expression_is_the_same_with_and_without_braces() -> None:
    """A `when` keeps its key when somebody adds or removes the braces."""
    assert parse_expression("item.a", PLACE) == parse_expression(" ${{ item.a }} ", PLACE)


def test_a_template_is_its_texts_and_expressions() -> None:
    template = parse_template("a ${{ item }}b${{ {'}}': '}}'} }}", PLACE)

    assert isinstance(template, Template)
    assert ["a ", "item", "b", "{'}}': '}}'}"] == [
        part.text if isinstance(part, Expression) else part for part in template.parts
    ]


def test_text_without_an_expression_stays_text() -> None:
    for text in ["", "plain", "$x {{ y }} ${z} }}", "$ {{ item }}"]:
        assert text == parse_template(text, PLACE)


@pytest.mark.parametrize(
    ("offset", "text"),
    [(10, "x ${{ 1 + }}"), (2, "x ${{ item"), (14, "${{ 1 }} ${{ (}}"), (7, "${{ {} } }}")],
)
def test_the_offset_of_an_error_counts_from_the_start_of_the_text(offset: int, text: str) -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        parse_template(text, PLACE)
    assert offset == caught.value.offset


def test_a_place_reads_like_a_compilers() -> None:
    assert "flow.yaml:12:7" == str(PLACE)
