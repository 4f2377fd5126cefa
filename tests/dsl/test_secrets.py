"""What is masked: a secret in every form in which it may come out, whole or in pieces, and nothing else."""

from __future__ import annotations

import base64
import json
import shlex
import sys
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maverick.dsl.prints import prints_kept
from maverick.dsl.secrets import Scrubber, secrets_in
from maverick.errors import UsageError

SECRETS = ["ghp_16C7e42F292c6912E7710c838347Ae178B4a", "q\"u\\o/t'e+d&é ß\n☃", "1234 5678", "pass\tword=ü𝄞x"]
_ANY = st.text(st.characters(blacklist_categories=["Cs"]), min_size=8, max_size=30).filter(
    lambda text: len(text.strip()) >= 8
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
        assert scrub.text(f"<{text}>").strip("<>\"'b\\{}: a\n") == "***"
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

    assert {"***": [1, None, {"a": "<***>", "b": b"***"}], "n": True} == Scrubber([secret]).value(value)


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


@settings(deadline=None, max_examples=60)
@given(
    st.lists(_ANY, min_size=1, max_size=2),
    st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=6)), max_size=4),
    st.lists(st.integers(1, 9), min_size=1, max_size=20),
)
def test_in_pieces_the_same_is_masked(secrets: list[str], parts: list[tuple[int, bytes]], sizes: list[int]) -> None:
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


@settings(deadline=None, max_examples=60)
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


@pytest.mark.parametrize(("value", "fits"), [("1234567", False), ("12345678", True), ("123456 \n", False), ("", True)])
def test_a_secret_that_is_too_short_is_refused(value: str, fits: bool) -> None:
    """It would stand in harmless text, and what is masked there would tell it. One that is not set is none."""
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
