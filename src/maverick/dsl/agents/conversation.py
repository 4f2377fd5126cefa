"""One attempt at a step with an agent: the calls of its program that it takes, within one limit of time.

A call that failed on the way to the model is made once more. A session that was open when the step was interrupted
is continued, if the program can and still knows it. What the agent was not permitted to do is told as a notice:
these programs end with exit code 0 all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import blake3

from maverick.dsl.agents.answers import ANSWER_CHARACTERS, WORDS_LINES, Answer, JsonLines
from maverick.dsl.agents.prompts import INTERRUPTED, as_json
from maverick.dsl.agents.providers import environment_of, missing
from maverick.dsl.child import StreamName, Tail
from maverick.dsl.durations import Limit, shortest
from maverick.dsl.events import Event
from maverick.dsl.last_words import text_of
from maverick.dsl.programs import is_there
from maverick.encoding import name_text
from maverick.errors import StepFailed, StepTimeout
from maverick.visible import last_lines

if TYPE_CHECKING:
    from maverick.dsl.agents.providers import Provider
    from maverick.dsl.config import AgentConfig
    from maverick.dsl.processes import Completed
    from maverick.dsl.steps.work import Attempt, Tools
    from maverick.dsl.values import Value

TRANSPORT_PAUSE_SECONDS = 5.0
LOGIN_CHECK_SECONDS = 10.0
NOISE_BYTES = 64 * 1024
"""How much of a program's output is held beside its answer."""
CALLS_KEPT = 8
"""How many calls of a step are kept in its facts, the last ones; there is not room for many."""
_WORDS_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """Who plays the agent *name*. Not *writes*: it is only asked for text."""

    name: str
    provider: Provider
    config: AgentConfig
    writes: bool = True


@dataclass(frozen=True, slots=True)
class _Failure:
    message: str
    transport: bool = False
    cut_short: bool = False


class Conversation:
    """What is said with one agent in one attempt at a step."""

    def __init__(self, player: Player, context: Value, asked: str, attempt: Attempt, tools: Tools) -> None:
        """*asked* is the prompt: a session is continued only by the same step, program and prompt."""
        self._player = player
        self._context = context
        self._attempt = attempt
        self._tools = tools
        self._inherited = tools.environment_in(tools.root)
        length, whose = player.config.timeout, f"the agent {player.name}"
        own = None if length is None else Limit.own(length, whose)
        self._limit = shortest(attempt.limit, own)
        self._started: float | None = None
        self._retried = False
        step = attempt.environment.get("MAVERICK_IDEMPOTENCY_KEY", "")
        told = repr((step, player.provider.name, player.config.model, asked))
        self._asked = blake3.blake3(told.encode("utf-8", "backslashreplace")).hexdigest(length=16)
        self._session = tools.sessions.find(self._asked) if player.provider.again else ""

    def ask(self, prompt: str, *, following: str = "") -> Answer:
        """What the agent answers to *prompt*; if a session goes on, *following* is said in its place.

        Raises:
            StepFailed: It did not answer.
            StepTimeout: It took too long.
            Stopped: A stop was requested. The session is kept for the next execution.
        """
        if self._started is None:
            self._warn_of_silence()
        while True:
            session = self._session
            answer, failure = self._call((following or INTERRUPTED + prompt) if session else prompt, session)
            if failure is None:
                return answer
            if session and not answer.begun and not failure.transport:
                self.tell(f"session {session} cannot be continued ({failure.message}); a new one is begun")
                self.forget()
                continue
            if not failure.transport or self._retried or not self._has_time_for(TRANSPORT_PAUSE_SECONDS):
                if not (failure.transport or failure.cut_short):
                    self.forget()
                raise StepFailed(f"agent {self._player.name}: {failure.message}")
            self._retried = True
            self.tell(f"{failure.message}; one more attempt")
            self._tools.stop.wait(TRANSPORT_PAUSE_SECONDS)
            self._tools.stop.check()

    def forget(self) -> None:
        """The session is not to be continued."""
        self._session = ""
        self._tools.sessions.drop(self._asked)

    # --- one call --------------------------------------------------------------------------------------------------

    def _call(self, prompt: str, session: str) -> tuple[Answer, _Failure | None]:
        player, tools, attempt = self._player, self._tools, self._attempt
        argv = player.provider.argv(player.config, session=session, writes=player.writes)
        if not is_there(argv[0], tools.root, tools.environment):
            raise StepFailed(f"agent {player.name}: {missing(player.provider, argv[0])}")
        heard = _Heard(player.provider, attempt, self._keep)
        attempt.keep("prompt", tools.scrub.text(prompt).encode("utf-8", "backslashreplace"))
        allowed = self.time_left()
        started = time.monotonic()
        self._started = self._started or started
        with tools.processes.scratch.folder() as files:
            (files / "context.json").write_text(as_json(self._context), "utf-8", "backslashreplace")
            try:
                done = tools.processes.run(
                    argv,
                    cwd=tools.root,
                    env=self._environment(files),
                    stdin=prompt.encode("utf-8", "backslashreplace"),
                    timeout=allowed,
                    on_output=heard.listen,
                    limit=ANSWER_CHARACTERS if player.provider.reader is None else NOISE_BYTES,
                    step=attempt.path,
                    wholly=True,
                )
                heard.end(done, files / "output.json")
            except StepTimeout as error:
                raise StepTimeout(f"agent {player.name}: {error}{heard.last_words()}") from None
            finally:
                self._record(heard.answer, time.monotonic() - started, resumed=bool(session))
        answer = heard.answer
        if done.leftovers:
            self.tell(f"stopped what it left running: {', '.join(done.leftovers)}")
        if answer.refused:
            some = ", ".join(answer.refused[:3])
            more = f" and {len(answer.refused) - 3} more" if len(answer.refused) > 3 else ""
            self.tell(f"was not permitted to do, or failed at: {some}{more}; see what is missing of its work")
        return answer, self._judge(heard, done)

    def _environment(self, files: Path) -> dict[str, str]:
        names = {
            "MAVERICK_AGENT": self._player.name,
            "MAVERICK_CONTEXT": name_text(files / "context.json"),
            "MAVERICK_OUTPUT": name_text(files / "output.json"),
        }
        options = environment_of(self._player.config)
        return {**self._inherited, **self._attempt.environment, **options, **names}

    def _judge(self, heard: _Heard, done: Completed) -> _Failure | None:
        """What is wrong with how a call ended; None if nothing is."""
        if heard.answer.failure or done.exit_code != 0:
            return self._failure(heard, done)
        if heard.too_long:
            return _Failure(f"it {heard.too_long}")
        if not heard.answer.finished:
            return _Failure(f"it was cut short before it was done{heard.last_words()}", cut_short=True)
        if not heard.answer.text.strip():
            return _Failure(f"it printed nothing{heard.last_words()}")
        return None

    def _failure(self, heard: _Heard, done: Completed) -> _Failure:
        """Why a call failed: its exit code and what that means, its error, else the last lines it wrote."""
        provider, answer, words = self._player.provider, heard.answer, heard.words()
        how = ""
        if done.exit_code != 0:
            how = f"killed by {done.signal}" if done.signal else f"exit code {done.exit_code}"
        told = (how, provider.exit_codes.get(done.exit_code), answer.failure or words or answer.complaint)
        message = ": ".join(filter(None, told))
        if provider.is_transport(done.exit_code, answer, words):
            return _Failure(message, transport=True)
        if answer.cut_short:
            return _Failure(f"it was cut short before it was done: {message}", cut_short=True)
        if done.signal:
            return _Failure(message)
        return _Failure(message + self._how_to_log_in(provider.status_of(done.exit_code, answer), done.exit_code))

    def _how_to_log_in(self, status: int | None, exit_code: int) -> str:
        provider = self._player.provider
        if status in (401, 403) or "logged in" in provider.exit_codes.get(exit_code, ""):
            return f"\n{provider.login}"
        return f"\n{provider.login}" if status is None and self._is_logged_out() else ""

    def _warn_of_silence(self) -> None:
        provider = self._player.provider
        environment = {**self._inherited, **environment_of(self._player.config)}
        if provider.silent_without and not environment.get(provider.silent_without) and self._is_logged_out():
            self.tell(f"nobody seems to be logged in, and {provider.name} may wait in silence: {provider.login}")

    def _is_logged_out(self) -> bool:
        """Whether the program's own check says that nobody is logged in. One that cannot be made says nothing."""
        check, environment = self._player.provider.login_check, self._inherited
        if not check or not self._has_time_for(LOGIN_CHECK_SECONDS):
            return False
        try:
            done = self._tools.processes.run(
                check,
                cwd=self._tools.root,
                env={**environment, **environment_of(self._player.config)},
                timeout=LOGIN_CHECK_SECONDS,
                step=self._attempt.path,
                wholly=True,
            )
        except StepFailed:
            return False
        return done.exit_code != 0

    # --- what is noted ---------------------------------------------------------------------------------------------

    def _keep(self, session: str) -> None:
        if self._player.provider.again:
            self._session = session
            self._tools.sessions.keep(self._asked, session)

    def _record(self, answer: Answer, seconds: float, *, resumed: bool) -> None:
        """Add the call to the volatile facts of the step, with the numbers as the program gives them."""
        provider = self._player.provider
        facts = cast(
            "dict[str, object]", self._attempt.facts.setdefault("agent", {"provider": provider.name, "called": 0})
        )
        if model := answer.model or self._player.config.model:
            facts["model"] = model[:200]
        if answer.session:
            facts["session"] = answer.session[:200]
        call: dict[str, object] = {**answer.usage, "seconds": round(seconds, 3), "resumed": resumed}
        facts["calls"] = [*cast("list[object]", facts.get("calls", [])), call][-CALLS_KEPT:]
        facts["called"] = cast("int", facts["called"]) + 1

    def tell(self, message: str) -> None:
        """Tell whoever watches the run."""
        text = self._tools.scrub.text(f"agent {self._player.name}: {message}")
        self._tools.observe(Event(event="notice", step=self._attempt.path, message=text))

    def time_left(self) -> Limit | None:
        """How long this attempt may still take; None is for ever."""
        if self._limit is None or self._started is None:
            return self._limit
        return self._limit.after(time.monotonic() - self._started)

    def _has_time_for(self, seconds: float) -> bool:
        limit = self.time_left()
        return limit is None or limit.left > seconds


class _Heard:
    """What one call's output comes to, as it arrives."""

    def __init__(self, provider: Provider, attempt: Attempt, keep: Callable[[str], None]) -> None:
        self.answer = Answer()
        self.too_long = ""
        self._attempt = attempt
        self._keep = keep
        self._kept = ""
        self._lines = JsonLines(provider.reader, self.answer) if provider.reader else None
        self._stderr = Tail(_WORDS_BYTES)

    def listen(self, stream: StreamName, piece: bytes) -> None:
        if stream == "stderr":
            self._stderr.add(piece)
        if stream == "stderr" or self._lines is None:
            self._attempt.say(stream, piece)
            return
        if shown := self._lines.feed(piece):
            self._attempt.say("stdout", shown.encode("utf-8", "backslashreplace"))
        if self.answer.session != self._kept:
            self._kept = self.answer.session
            self._keep(self._kept)

    def end(self, done: Completed, output: Path) -> None:
        """Take what the command left: for a program without JSON lines, its file or its whole output."""
        if self._lines is not None:
            self._lines.end()
            if self.answer.too_long or self._lines.left_out:
                self.too_long = f"wrote an answer, or a line, of more than {ANSWER_CHARACTERS >> 20} MiB"
            return
        self.answer.begun = self.answer.finished = True
        if done.exit_code != 0:
            self.answer.say(text_of(done.stdout[-_WORDS_BYTES:]))
        elif output.exists():
            self.answer.is_json = True
            if output.stat().st_size > ANSWER_CHARACTERS:
                self.too_long = f"wrote more than {ANSWER_CHARACTERS >> 20} MiB to MAVERICK_OUTPUT"
            else:
                self.answer.say(text_of(output.read_bytes()))
        elif len(done.stdout) == ANSWER_CHARACTERS and done.truncated:
            self.too_long = (
                f"printed more than {ANSWER_CHARACTERS >> 20} MiB; its answer is all that it prints, unless it "
                "writes one to MAVERICK_OUTPUT"
            )
        else:
            self.answer.say(text_of(done.stdout))

    def words(self) -> str:
        """The last lines that are no part of the answer: of standard error, else of standard output."""
        lines = last_lines(text_of(self._stderr.data), WORDS_LINES)
        if not lines and self._lines is not None:
            lines = list(self._lines.words)
        if not lines and self._lines is None:
            lines = last_lines(self.answer.text, WORDS_LINES)
        return "\n".join(lines[-WORDS_LINES:])

    def last_words(self) -> str:
        words = self.words()
        return f"; the last it said: {words}" if words else ""
