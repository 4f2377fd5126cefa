"""What is masked: a secret in every form in which it may come out, whole or in pieces, and nothing
else.
"""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
import sys
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maverick.dsl.processes.secrets import (
    CREDENTIALS,
    Scrubber,
    credentials_in,
    secrets_in,
    secrets_of,
)
from maverick.dsl.steps.prints import prints_kept
from maverick.errors import UsageError

SECRETS = [
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "q\"u\\o/t'e+d&é ß\n☃",
    "1234 5678",
    "pass\tword=ü𝄞x",
]
_ANY = st.text(st.characters(blacklist_categories=["Cs"]), min_size=8, max_size=30).filter(
    lambda text: len(text.strip()) >= 8
)


def _printf_q(secret: str) -> str:
    """As bash does: a backslash before each sign, or `$'…'` where there is what cannot be
    printed.
    """
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in secret):
        named = {
            "\n": "\\n",
            "\t": "\\t",
            "\r": "\\r",
            "\x1b": "\\E",
            "'": "\\'",
            "\\": "\\\\",
            "\a": "\\a",
            "\b": "\\b",
        }
        shown = (
            named.get(letter)
            or (letter if letter >= " " and letter != "\x7f" else f"\\{ord(letter):03o}")
            for letter in secret
        )
        return f"$'{''.join(shown)}'"
    return "".join(
        letter
        if letter.isalnum() or not letter.isascii() or letter in "_-./:=@%+"
        else f"\\{letter}"
        for letter in secret
    )


def _forms(secret: str) -> dict[str, str]:
    data = secret.encode()
    return {
        "plain": secret,
        "json": json.dumps(secret),
        "json, not ASCII": json.dumps(secret, ensure_ascii=False),
        "json in json": json.dumps(json.dumps({"a": secret})),
        "python": repr(secret),
        "bytes of python": repr(data),
        "url": quote(secret),
        "url, all": quote(secret, safe=""),
        "url, form": quote_plus(secret),
        "url, lower case": quote(secret, safe="").replace("%C3", "%c3").replace("%2F", "%2f"),
        "shell": shlex.quote(secret),
        "printf %q": _printf_q(secret),
        "octal": "".join(
            f"\\{byte:03o}" if byte > 126 or byte < 32 else chr(byte)
            for byte in data.replace(b"\\", b"\\\\")
        ),
        "base64": base64.b64encode(data).decode(),
        "base64 of a header": base64.b64encode(b"user:" + data + b"!").decode(),
        "base64 at two": base64.b64encode(b"ab" + data).decode(),
        "base64 at one": base64.b64encode(b"a" + data).decode(),
        "base64 for URLs": base64.urlsafe_b64encode(b"x" + data).decode(),
        "base64 in lines": base64.encodebytes(b"x" * 50 + data).decode(),
        "base64 in lines, in json": json.dumps(base64.encodebytes(b"x" * 50 + data).decode()),
    }


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", _forms("x" * 8))
def test_a_secret_is_masked_in_every_form(secret: str, form: str) -> None:
    """What encodes a secret still says it."""
    text = _forms(secret)[form]
    scrub = Scrubber([secret])

    assert "***" in scrub.text(f"before {text} after")
    assert b"***" in scrub.data(f"before {text} after".encode())
    if "base64" not in form:
        assert scrub.text(f"<{text}>").strip("<>\"'b\\{}: a\n$") == "***"
    else:
        left = scrub.text(text).replace("\n", "").replace("\\n", "")
        pieces = [base64.b64encode(secret.encode()[at:]).decode()[:8] for at in range(3)]
        assert not [piece for piece in pieces if piece in left]


def test_what_is_no_secret_stays_as_it_is() -> None:
    """Masking by chance would spoil what people work with."""
    scrub = Scrubber(SECRETS)
    text = 'a "b" \\ c %2F é 1234 5678? no: 1234  5678 \n d'.replace("1234 5678?", "")

    assert text == scrub.text(text)
    assert text.encode() == scrub.data(text.encode())
    assert not scrub.holds(text.encode())


def test_values_are_masked_at_every_depth() -> None:
    """In keys, too."""
    secret = SECRETS[0]
    value = {secret: [1, None, {"a": f"<{secret}>", "b": secret.encode()}], "n": True}

    assert {"***": [1, None, {"a": "<***>", "b": b"***"}], "n": True} == Scrubber([secret]).value(
        value
    )


def test_without_secrets_nothing_changes() -> None:
    """Not even the object."""
    scrub, value = Scrubber(), {"a": ["b"]}
    pieces: list[bytes] = []
    add, end = scrub.stream(pieces.append)
    add(b"piece")
    end()

    assert not scrub
    assert value is scrub.value(value)
    assert [b"piece"] == pieces
    assert not scrub.holds(b"anything")


def test_spaces_around_a_secret_are_no_part_of_it() -> None:
    """A variable that was read from a file often ends in a line feed, which nobody prints."""
    assert "<***>" == Scrubber(["a-secret-key\n"]).text("<a-secret-key>")


def test_of_two_secrets_the_longer_one_is_masked() -> None:
    """The rest of it would give it away."""
    scrub = Scrubber(["password1", "password1-and-more"])

    assert "*** ***" == scrub.text("password1-and-more password1")
    pieces: list[bytes] = []
    add, end = scrub.stream(pieces.append)
    for piece in (b"password1", b"-and-more", b" password1"):
        add(piece)
    end()
    assert b"*** ***" == b"".join(pieces)


@settings(max_examples=60)
@given(
    st.lists(_ANY, min_size=1, max_size=2),
    st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=6)), max_size=4),
    st.lists(st.integers(1, 9), min_size=1, max_size=20),
)
def test_in_pieces_the_same_is_masked(
    secrets: list[str], parts: list[tuple[int, bytes]], sizes: list[int]
) -> None:
    """Wherever a pipe breaks the output."""
    scrub = Scrubber(secrets)
    forms = [form.encode() for secret in secrets for form in _forms(secret).values()]
    whole = b"".join(forms[number % len(forms)] + between for number, between in parts)
    pieces: list[bytes] = []
    add, end = scrub.stream(pieces.append)
    at = number = 0
    while at < len(whole):
        add(whole[at : at + sizes[number % len(sizes)]])
        at += sizes[number % len(sizes)]
        number += 1
    end()

    assert scrub.data(whole) == b"".join(pieces)


@settings(max_examples=60)
@given(_ANY, st.sampled_from([form for form in _forms("x" * 8) if "base64" not in form]))
def test_any_text_is_masked_in_any_form(secret: str, form: str) -> None:
    """Whatever characters a password is made of."""
    assert "***" in Scrubber([secret]).text(_forms(secret.strip())[form])


def test_what_cannot_become_a_secret_is_not_held_back() -> None:
    """A line of a build is seen when it is written, not a hundred lines later."""
    pieces: list[bytes] = []
    add, end = Scrubber([SECRETS[0]]).stream(pieces.append)
    add(b"building the first part\n")
    assert [b"building the first part\n"] == pieces
    add(b"key: ghp_16C7")
    assert b"building the first part\nkey: " == b"".join(pieces)
    end()
    assert b"building the first part\nkey: ghp_16C7" == b"".join(pieces)


@pytest.mark.parametrize(
    ("value", "fits"), [("1234567", False), ("12345678", True), ("123456 \n", False), ("", True)]
)
def test_a_secret_that_is_too_short_is_refused(value: str, fits: bool) -> None:
    """It would stand in harmless text, and what is masked there would tell it. One that is not set
    is none.
    """
    if fits:
        assert ({"KEY": value} if value else {}) == secrets_in(["KEY", "OTHER"], {"KEY": value})
    else:
        with pytest.raises(UsageError, match="the secret KEY has less than 8 characters"):
            secrets_in(["KEY"], {"KEY": value})


def test_what_python_prints_is_masked_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    """And not any longer."""
    out, err = sys.stdout, sys.stderr
    with prints_kept(Scrubber([SECRETS[0]])):
        print("a", SECRETS[0])  # noqa: T201
        sys.stderr.writelines([SECRETS[0], "\n"])

    assert (out, err) == (sys.stdout, sys.stderr)
    assert ("a ***\n", "***\n") == tuple(capsys.readouterr())


def test_a_long_text_is_searched_in_no_time() -> None:
    """A hundred kilobytes that look like the beginning of a secret over and over."""
    scrub = Scrubber(["a" * 200 + "!", "\\" * 40 + "x" * 40])
    text = ("a" * 150 + "b") * 600 + "\\" * 1000

    assert scrub.text(text).startswith("a" * 150)


# --- secrets of several lines, and of JSON --------------------------------------------------------

LINES = ["AAAAB3NzaC1yc2EAAAADAQABAAABgQ", "Q2hlZXNlYnVyZ2VyU2VjcmV0TGluZQ", "c2hvcnQ="]
KEY = "\n".join(["-----BEGIN KEY-----", *LINES, "-----END KEY-----"]) + "\n"
ACCOUNT = {
    "type": "service_account",
    "private_key": KEY,
    "nested": [{"token": "deep-inside-a-list"}, json.dumps({"inner": "json-in-json-1"})],
    "short": "abc",
    "number": 12345678,
}


def _of_a_key() -> dict[str, str]:
    return {
        "as it is": KEY,
        "without the last line's end": KEY.strip(),
        "indented": "".join(f"    {line}\n" for line in KEY.splitlines()),
        "indented by tabs": "".join(f"\t\t{line}\n" for line in KEY.splitlines()),
        "CRLF": KEY.replace("\n", "\r\n"),
        "line by line": "\n".join(f"#12 0.31 {line}" for line in KEY.splitlines()),
        "one line alone": LINES[1],
        "YAML": "key: |\n" + "".join(f"  {line}\n" for line in KEY.splitlines()),
        "JSON": json.dumps({"key": KEY}),
        "shell": _printf_q(KEY),
        "base64": base64.b64encode(KEY.encode()).decode(),
        "base64 of a line": base64.b64encode(LINES[0].encode()).decode(),
        "base64 of indented lines": base64.encodebytes(KEY.replace("\n", "\n  ").encode()).decode(),
        "on one line": KEY.replace("\n", " "),
        "URL": quote(KEY, safe=""),
    }


def _is_masked(text: str) -> bool:
    joined = text.replace("\n", "")
    pieces = [line[at : at + 12] for line in LINES[:2] for at in (0, len(line) - 12)]
    encoded = [
        base64.b64encode(b"x" * n + line.encode())[8:20].decode()
        for line in LINES[:2]
        for n in range(3)
    ]
    return not [piece for piece in [*pieces, *encoded] if piece in joined]


@pytest.mark.parametrize("form", _of_a_key())
@pytest.mark.parametrize(
    "given_as",
    [KEY, KEY.replace("\n", "\r\n"), KEY.strip().replace("\n", "\\n"), json.dumps(ACCOUNT)],
)
def test_each_line_of_a_secret_is_one(form: str, given_as: str) -> None:
    """Tools print keys line by line, indented, and with other ends; a variable may hold escapes for
    them.
    """
    text = _of_a_key()[form]
    scrub = Scrubber([given_as])

    assert _is_masked(scrub.text(text)), scrub.text(text)
    assert _is_masked(scrub.data(text.encode()).decode())


def test_the_marks_of_a_key_are_no_secret() -> None:
    """They stand in many a harmless text; and so do short lines."""
    text = "-----BEGIN KEY-----\n-----END KEY-----\nshort\n"

    assert text == Scrubber([KEY, "long-enough-1\nshort"]).text(text)


@pytest.mark.parametrize(
    "dumped", [ACCOUNT, {"other": ACCOUNT["nested"]}, ACCOUNT["nested"], ACCOUNT["private_key"]]
)
@pytest.mark.parametrize("indent", [None, 0, 4])
def test_each_text_in_a_secret_of_json_is_one(dumped: object, indent: int | None) -> None:
    """A program picks the key out of it, or writes it with other spaces."""
    scrub = Scrubber([json.dumps(ACCOUNT, indent=2)])
    masked = scrub.text(json.dumps(dumped, indent=indent))

    assert _is_masked(masked)
    for part in ("deep-inside-a-list", "json-in-json-1"):
        assert part not in masked
        assert "***" == scrub.text(part)
    assert "abc 12345678 short number" == scrub.text("abc 12345678 short number")


def test_json_that_cannot_be_read_is_a_text() -> None:
    """However deep it is."""
    assert "<***>" == Scrubber(["[" * 100_000]).text(f"<{'[' * 100_000}>")
    assert "<***>" == Scrubber(['{"a": nothing}']).text('<{"a": nothing}>')


@settings(max_examples=100)
@given(
    st.sampled_from(
        [KEY, json.dumps(ACCOUNT), json.dumps(ACCOUNT, indent=2), "pa$$ word\tof\x1b'all\" kinds"]
    ),
    st.lists(
        st.tuples(st.sampled_from([*_of_a_key(), *_forms("x" * 8)]), st.text(max_size=6)),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.integers(1, 40), min_size=1, max_size=20),
)
def test_in_pieces_lines_and_texts_are_masked_as_in_the_whole(
    secret: str, parts: list[tuple[str, str]], sizes: list[int]
) -> None:
    """At every cut."""
    scrub = Scrubber([secret])
    known = {**_forms(secret.strip()), **_of_a_key()}
    whole = "".join(known[form] + between for form, between in parts).encode(
        "utf-8", "surrogateescape"
    )
    pieces: list[bytes] = []
    add, end = scrub.stream(pieces.append)
    at = number = 0
    while at < len(whole):
        size = sizes[number % len(sizes)]
        add(whole[at : at + size])
        at, number = at + size, number + 1
    end()

    assert scrub.data(whole) == b"".join(pieces)


@pytest.mark.parametrize("at", range(260))
def test_at_every_single_cut_the_same_is_masked(at: int) -> None:
    text = "\n".join(
        [_of_a_key()["base64 of a line"], _of_a_key()["indented"], _printf_q(LINES[0] + "$ '\"\\")]
    ).encode()
    scrub = Scrubber([KEY, LINES[0] + "$ '\"\\"])
    pieces: list[bytes] = []
    add, end = scrub.stream(pieces.append)
    add(text[:at])
    add(text[at:])
    end()

    assert scrub.data(text) == b"".join(pieces)


@pytest.mark.parametrize("secret", [*SECRETS, "a$b`c!d(e)f*g h", "tab\tand\x1bescape\x01"])
def test_what_bash_quotes_is_masked(secret: str) -> None:
    """By the real one."""
    for locale in ("C", "C.UTF-8"):
        done = subprocess.run(
            ["bash", "-c", 'printf "<%q>" "$1"', "x", secret],
            capture_output=True,
            check=True,
            env={"LC_ALL": locale},
        )
        masked = Scrubber([secret]).data(done.stdout)
        assert masked in (b"<***>", b"<$'***'>"), masked


def test_secrets_that_overlap_are_masked_together() -> None:
    """The end of the second one would tell of it."""
    assert "<***>" == Scrubber(["password-one", "one-and-two"]).text("<password-one-and-two>")


def test_a_key_of_many_lines_costs_next_to_nothing() -> None:
    """As counted by the places at which a form is looked at, not by the clock."""
    lines = [base64.b64encode(bytes([number]) * 48).decode() for number in range(60)]
    scrub = Scrubber(["\n".join(lines)])
    finder = scrub._in_text
    text = "a line of a build log, number 12345\n" * 10_000

    assert text == scrub.text(text)
    assert len(finder._candidates(text, goes_on=False)) < 1000


# --- credentials ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CREDENTIALS)
def test_credentials_of_agents_and_of_gh_are_secrets_unasked(name: str) -> None:
    """Nobody has to name what everybody has."""
    assert {name: "a-credential"} == secrets_of([], {name: "a-credential", "OTHER": "not-a-secret"})


def test_a_credential_that_is_too_short_is_neither_masked_nor_refused() -> None:
    """It was not named; and `x` is what people set where a program wants any."""
    assert {} == credentials_in({"OPENAI_API_KEY": "x", "GH_TOKEN": "1234567 "})
    with pytest.raises(UsageError):
        secrets_of(["GH_TOKEN"], {"GH_TOKEN": "1234567 "})
