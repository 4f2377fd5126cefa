"""Every function of the language: what it gives, what it refuses, and how it counts its
arguments.
"""

from __future__ import annotations

import shlex

import blake3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.asking import ask, frame
from maverick.dsl.expressions.functions import FUNCTIONS
from maverick.errors import ExpressionFailed

LISTED = (
    "len str int float bool json to_json join split lower upper strip replace startswith endswith "
    "contains keys values range min max sum any all default format quote basename dirname glob "
    "exists hash"
)


def test_the_functions_are_exactly_those_of_the_language() -> None:
    assert sorted(LISTED.split()) == sorted(FUNCTIONS)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_has_one_line_of_help(name: str) -> None:
    assert FUNCTIONS[name].help.strip()
    assert "\n" not in FUNCTIONS[name].help


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (0, "len('')"),
        (2, "len('é😀')"),
        (2, "len([1, null])"),
        (1, "len({'a': 1})"),
        ("", "str(null)"),
        ("true", "str(true)"),
        ("1.0", "str(1.0)"),
        ('["a", null, {"b": 1.5}]', "str(['a', null, {'b': 1.5}])"),
        (3, "int(3.9)"),
        (-3, "int(-3.9)"),
        (42, "int(' 42 ')"),
        (-7, "int('-7')"),
        (1, "int(true)"),
        (2.0, "float(2)"),
        (2.5, "float('2.5')"),
        (1000.0, "float(' 1e3 ')"),
        (False, "bool(0.0)"),
        (True, "bool('false')"),
        ({"a": [1, 2.0, None]}, """json('{"a": [1, 2.0, null]}')"""),
        ("1", "to_json(1)"),
        ('"é"', "to_json('é')"),
        ("null", "to_json(null)"),
        ('{"b": 1, "a": [true, "x"]}', "to_json({'b': 1, 'a': [true, 'x']})"),
        ("a, 1, , true", "join(['a', 1, null, true], ', ')"),
        ("", "join([], ',')"),
        (["a", "b", ""], "split('a,b,', ',')"),
        (["a", "b"], "split('  a \\n b ')"),
        ([], "split('')"),
        ("straße", "lower('STRAßE')"),
        ("STRASSE", "upper('straße')"),
        ("a b", "strip('  a b \\n')"),
        ("a", "strip('--a-', '-')"),
        ("b-b", "replace('a-a', 'a', 'b')"),
        (True, "startswith('abc', 'ab')"),
        (False, "startswith('abc', 'b')"),
        (True, "endswith('abc', 'bc')"),
        (True, "contains('abc', 'b')"),
        (True, "contains([1, 2], 2.0)"),
        (False, "contains([1, 2], true)"),
        (True, "contains({'a': 1}, 'a')"),
        (["b", "a"], "keys({'b': 1, 'a': 2})"),
        ([1, 2], "values({'b': 1, 'a': 2})"),
        ([0, 1, 2], "range(3)"),
        ([2, 3], "range(2, 4)"),
        ([3, 1], "range(3, 0, -2)"),
        ([], "range(0)"),
        (1, "min([3, 1, 2])"),
        (1, "min(3, 1, 2)"),
        ("c", "max('a', 'c', 'b')"),
        (2.5, "max([1, 2.5])"),
        (0, "sum([])"),
        (3.5, "sum([1, 2.5])"),
        (False, "any([])"),
        (True, "any([0, '', 'x'])"),
        (True, "all([])"),
        (False, "all([1, null])"),
        ("x", "default(null, 'x')"),
        (0, "default(0, 'x')"),
        ("", "default('', 'x')"),
        ("a 1 b true", "format('a {} b {}', 1, true)"),
        ("b a b", "format('{1} {0} {1}', 'a', 'b')"),
        ("{x} 1", "format('{{x}} {}', 1)"),
        ("0.33|007|  a|50%", "format('{:.2f}|{:03d}|{:>3}|{:.0%}', 1 / 3, 7, 'a', 0.5)"),
        ("{0}", "format('{}', '{0}')"),
        ("'it'\"'\"'s'", 'quote("it\'s")'),
        ("''", "quote(null)"),
        ("plain", "quote('plain')"),
        ("c.txt", "basename('a/b/c.txt')"),
        ("a/b", "dirname('a/b/c.txt')"),
        ("", "dirname('c.txt')"),
    ],
)
def test_functions(expected: object, text: str) -> None:
    actual = ask(text)
    assert (type(expected), expected) == (type(actual), actual)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (r"len\(\) takes a string, a list or a mapping, not null; write `default", "len(null)"),
        (r"len\(\) takes a string, a list or a mapping, not integer", "len(1)"),
        (r"int\(\) cannot convert 'x': expected digits", "int('x')"),
        (r"int\(\) cannot convert '1_000'", "int('1_000')"),
        (r"int\(\) cannot convert '1.5'", "int('1.5')"),
        (r"int\(\) cannot convert inf", "int(float('inf'))"),
        (r"int\(\) cannot convert nan", "int(float('nan'))"),
        (r"int\(\) cannot convert null", "int(null)"),
        (r"float\(\) cannot convert 'x'", "float('x')"),
        (r"float\(\) cannot convert '1_0'", "float('1_0')"),
        (r"float\(\) cannot convert list", "float([])"),
        (r"json\(\) cannot read '\{': ", "json('{')"),
        (r"json\(\) takes a string here, not mapping", "json({})"),
        ("nested", "json(inputs.deep)"),
        ("bytes cannot be written as JSON", "to_json([inputs.data])"),
        (r"join\(\) takes a list, not string", "join('abc', ',')"),
        (r"join\(\) takes a string here, not null", "join([], null)"),
        (r"split\(\) cannot split at an empty string", "split('a', '')"),
        (r"split\(\) takes a string here, not null", "split(null, ',')"),
        (r"replace\(\) cannot replace an empty string", "replace('a', '', 'b')"),
        (r"upper\(\) takes a string here, not integer: write `str", "upper(1)"),
        (r"keys\(\) takes a mapping, not list", "keys([])"),
        (r"values\(\) takes a mapping, not null", "values(null)"),
        (r"range\(\) takes integers, not float", "range(1.0)"),
        (r"range\(\) takes integers, not boolean", "range(true)"),
        (r"range\(\) cannot count in steps of 0", "range(1, 2, 0)"),
        (r"min\(\) of an empty list", "min([])"),
        (r"max\(\) takes a list, not integer", "max(1)"),
        ("`<` cannot compare a string with an integer", "min([1, 'a'])"),
        ("`>` cannot order", "max([[1], [2]])"),
        (r"sum\(\) takes a list of numbers; there is a string in it", "sum([1, 'a'])"),
        (r"any\(\) takes a list, not mapping", "any({})"),
        (r"all\(\) takes a list, not string", "all('a')"),
        (r"format\(\) has no value number 1: 1 given", "format('{} {}', 1)"),
        (r"format\(\) found a lone `\{`", "format('{x}', 1)"),
        (r"format\(\) found a lone `\}`", "format('a } b')"),
        (r"format\(\) found a lone `\{`", "format('{0.real}', 1)"),
        (r"format\(\) cannot write string as `\{:d\}`", "format('{:d}', 'a')"),
        (r"basename\(\) takes a string here, not null", "basename(null)"),
    ],
)
def test_a_refusal_names_the_function_and_says_why(message: str, text: str) -> None:
    scope = frame(deep="[" * 100_000, data=b"x")
    with pytest.raises(ExpressionFailed, match=f"^flow.yaml:12:7: `.*`: .*{message}"):
        ask(text, scope)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_json_reads_what_to_json_writes(value: object) -> None:
    assert value == ask("json(to_json(inputs.x))", frame(x=value))


@given(st.text())
def test_a_quoted_text_is_one_word_of_a_shell(text: str) -> None:
    quoted = ask("quote(inputs.x)", frame(x=text))
    assert [text] == shlex.split(str(quoted))


def test_hash_is_blake3_of_the_canonical_json() -> None:
    """The order of keys does not matter; text is hashed with its quotes, so that '1' and 1
    differ.
    """
    assert blake3.blake3(b'{"a":[1,"\xc3\xa9"],"b":null}').hexdigest() == ask(
        "hash({'b': null, 'a': [1, 'é']})"
    )
    assert ask("hash('1') != hash(1)")
    assert ask("hash(inputs.a) != hash(inputs.b)", frame(a=b"1", b=b"2"))
    assert ask("hash(inputs.a) != hash(inputs.b)", frame(a=1 << 80_000, b=1 << 80_001))


def test_bytes_are_read_as_utf8_where_text_is_wanted() -> None:
    assert "é" == ask("str(inputs.x)", frame(x="é".encode()))
    with pytest.raises(ExpressionFailed, match="the bytes are no UTF-8 text"):
        ask("str(inputs.x)", frame(x=b"\xff"))
