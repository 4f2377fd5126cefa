"""What one call of an agent's program comes to, as its output arrives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from maverick.dsl.agents.answers import ANSWER_CHARACTERS, Answer, JsonLines, Words
from maverick.dsl.processes.child import StreamName
from maverick.dsl.processes.last_words import text_of
from maverick.dsl.processes.scratch import read_plain_file
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from maverick.dsl.agents.provider import Provider
    from maverick.dsl.processes.processes import Completed
    from maverick.dsl.work import Attempt

REFUSALS = 3
"""A program that is refused its key so often in a row is ended: it may go on for minutes."""
_WORDS_BYTES = 8 * 1024


class Hopeless(Exception):
    """The program goes on asking a server that refuses its key."""


class Heard:
    """The answer of one call, and what its program said beside."""

    def __init__(
        self, provider: Provider, attempt: Attempt, keep: Callable[[str], None], session: str
    ) -> None:
        """*session* is the one that the caller named; *keep* is told of each that goes on.

        `listen` raises Hopeless.
        """
        self.answer = Answer()
        self.too_long = ""
        self._attempt = attempt
        self._keep = keep
        self._kept = ""
        self._named = session
        self._stubborn = provider.stubborn
        self._lines = (
            JsonLines(provider.reader, self.answer, provider.noise) if provider.reader else None
        )
        self._words = Words(provider.noise)

    def listen(self, stream: StreamName, piece: bytes) -> None:
        if self._lines is None:
            if stream == "stderr":
                self._words.feed(piece)
            self._attempt.say(stream, piece)
            return
        if stream == "stderr":
            self._show(stream, self._words.feed(piece))
            return
        self._show(stream, self._lines.feed(piece))
        if self.answer.begun and not self.answer.session:
            self.answer.session = self._named
        if self.answer.session != self._kept:
            self._kept = self.answer.session
            self._keep(self._kept)
        if self._stubborn and self.answer.refusals >= REFUSALS:
            raise Hopeless

    def _show(self, stream: StreamName, text: str) -> None:
        if text:
            self._attempt.say(stream, text.encode("utf-8", "backslashreplace"))

    def end(self, done: Completed, output: Path) -> None:
        """Take what the command left: for a program without JSON lines, its file or its whole
        output.
        """
        rest = self._words.end()
        if self._lines is not None:
            self._show("stderr", rest)
            self._show("stdout", self._lines.end())
            if self.answer.too_long or self._lines.left_out:
                self.too_long = (
                    f"wrote an answer, or a line, of more than {ANSWER_CHARACTERS >> 20} MiB"
                )
            return
        self.answer.begun = self.answer.finished = True
        if done.exit_code != 0:
            self.answer.set_text(text_of(done.stdout[-_WORDS_BYTES:]))
        elif (written := _written(output)) is not None:
            self.answer.is_json = True
            if len(written) > ANSWER_CHARACTERS:
                self.too_long = f"wrote more than {ANSWER_CHARACTERS >> 20} MiB to MAVERICK_OUTPUT"
            else:
                self.answer.set_text(text_of(written))
        elif len(done.stdout) == ANSWER_CHARACTERS and done.truncated:
            self.too_long = (
                f"printed more than {ANSWER_CHARACTERS >> 20} MiB; its answer is all that it "
                "prints, unless it writes one to MAVERICK_OUTPUT"
            )
        else:
            self.answer.set_text(text_of(done.stdout))

    def words(self) -> str:
        """The first and the last lines that are no part of the answer: of standard error, else of
        standard output.
        """
        if self._words.text:
            return self._words.text
        if self._lines is not None:
            return self._lines.words.text
        printed = Words()
        for line in self.answer.text.encode("utf-8", "backslashreplace").split(b"\n"):
            printed.add(line)
        return printed.text

    def last_words(self) -> str:
        """What the model's server answered last, and what the program said."""
        answer = self.answer
        said = [self.words()]
        status = answer.complaint_status
        if status is None:
            said.append(answer.complaint)
        last = "\n".join(filter(None, said))
        server = f"; the last answer of the model's server was {status}" if status else ""
        server += f" ({answer.complaint})" if status and answer.complaint else ""
        return server + (f"; the last it said: {last}" if last else "")


def _written(output: Path) -> bytes | None:
    """What a program wrote to MAVERICK_OUTPUT; more than an answer may be long is cut."""
    try:
        return read_plain_file(output, ANSWER_CHARACTERS + 1)
    except StepFailed as error:
        raise StepFailed(f"MAVERICK_OUTPUT: {error}") from None
