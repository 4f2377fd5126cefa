"""One attempt at a step with an agent: the calls of its program that it takes, within one limit of
time.

A call that failed on the way to the model is made once more, one that met a limit of the account's
several times, with growing pauses or when the program says. A session that was open when the step
was interrupted is continued, if the program can and still knows it. What the agent was not
permitted to do is told as a notice: these programs end with exit code 0 all the same.
"""

from __future__ import annotations

import re
import signal
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import blake3

from maverick.dsl.agents.answers import ANSWER_CHARACTERS, Answer
from maverick.dsl.agents.heard import REFUSALS, Heard, Hopeless
from maverick.dsl.agents.limits import seconds_to_wait
from maverick.dsl.agents.prompts import INTERRUPTED, context_json
from maverick.dsl.agents.provider import environment_of, missing
from maverick.dsl.durations import Limit, shortest
from maverick.dsl.events import Event
from maverick.dsl.processes.last_words import how_it_ended
from maverick.dsl.processes.programs import is_there
from maverick.encoding import name_text
from maverick.errors import StepFailed, StepTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maverick.dsl.agents.provider import Player
    from maverick.dsl.processes.processes import Completed
    from maverick.dsl.work import Attempt, Tools
    from maverick.values import Value

TRANSPORT_PAUSE_SECONDS = 5.0
"""Before another attempt; before each further one that a limit asks for it is three times as long.
"""
LIMIT_ATTEMPTS = 5
"""How often a call is made again that met a limit of the account's, when the program does not say
how long it holds.
"""
LIMIT_WAIT_SECONDS = 3600.0
"""The longest that a step waits for a limit, all pauses together."""
LEAST_SECONDS = 30.0
"""What has to be left of the time for another attempt, or a tenth of it; but never more than half
of it.
"""
LOGIN_CHECK_SECONDS = 10.0
NOISE_BYTES = 64 * 1024
"""How much of a program's output is held beside its answer."""
CALLS_KEPT = 8
"""How many calls of a step are kept in its facts, the last ones; there is not room for many."""
_KILLED = frozenset(
    128 + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
)
"""Exit codes of a program that somebody else ended; those of launchers, whose program was, as well.
"""
_ABOUT_LOGIN = re.compile(
    r"log.?in|logged.?out|api.?key|credential|authenticat|unauthori[sz]ed|forbidden", re.IGNORECASE
)
_LIMIT_WORDS = re.compile(r"\blimit|\bquota|too many requests", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Failure:
    """*goes_on*: its session is worth continuing. *wait*: how long a limit holds, if that was
    told.
    """

    message: str
    transport: bool = False
    goes_on: bool = False
    limit: bool = False
    wait: float | None = None


class Conversation:
    """What is said with one agent in one attempt at a step."""

    def __init__(
        self, player: Player, context: Value, asked: str, attempt: Attempt, tools: Tools
    ) -> None:
        """*asked* is the prompt: a session is continued only by the same step, program and
        prompt.
        """
        self._player = player
        self._context = context
        self._attempt = attempt
        self._tools = tools
        self._inherited = tools.environment_in(tools.root)
        length, whose = player.config.timeout, f"the agent {player.name}"
        own = None if length is None else Limit.own(length, whose)
        self._limit = shortest(attempt.limit, own)
        self._started: float | None = None
        self._retries = 0
        self._waited = 0.0
        self._before = ""
        step = attempt.environment.get("MAVERICK_IDEMPOTENCY_KEY", "")
        told = repr((step, player.provider.name, player.config.model, asked))
        self._asked = blake3.blake3(told.encode("utf-8", "backslashreplace")).hexdigest(length=16)
        self._session = tools.sessions.find(self._asked) if player.provider.again else ""
        self._told: Mapping[str, int | float] = {}
        """The numbers that the call before told of itself."""

    def ask(self, prompt: str, *, following: str = "") -> Answer:
        """What the agent answers to *prompt*; if a session goes on, *following* is said in its
        place.

        Raises:
            StepFailed: It did not answer.
            StepTimeout: It took too long.
            Stopped: A stop was requested. The session is kept for the next execution.
        """
        if self._started is None:
            self._warn_of_silence()
        while True:
            session = self._session
            answer, failure = self._call(
                (following or INTERRUPTED + prompt) if session else prompt, session
            )
            if failure is None:
                return answer
            if session and not answer.begun and not failure.transport:
                self.tell(
                    f"session {session} cannot be continued ({failure.message}); a new one is begun"
                )
                self.forget_session()
                continue
            pause, reason = self._pause(failure)
            if pause is None:
                if not (failure.transport or failure.goes_on):
                    self.forget_session()
                raise StepFailed(f"agent {self._player.name}: {failure.message}{reason}")
            self._retries += 1
            self._waited += pause
            self._before = failure.message
            self.tell(
                f"{failure.message}; one more attempt{f' in {_time(pause)}' if pause >= 10 else ''}"
            )
            self._tools.stop.wait(pause)
            self._tools.stop.check()

    def _pause(self, failure: _Failure) -> tuple[float | None, str]:
        """The seconds before another attempt; None if there is to be none, with what to add to the
        message.
        """
        if not failure.transport:
            return None, ""
        told = failure.wait
        if told is not None:
            pause = told + 1.0
        else:
            pause = TRANSPORT_PAUSE_SECONDS * (3**self._retries if failure.limit else 1)
        if self._retries >= (LIMIT_ATTEMPTS if failure.limit else 1):
            return None, ""
        if self._waited + max(pause, told or 0.0) > LIMIT_WAIT_SECONDS:
            until = f" at {_clock(told)}" if told is not None else " later"
            return (
                None,
                (
                    f"; resume{until}: a step waits for a limit for {_time(LIMIT_WAIT_SECONDS)} at "
                    "most"
                ),
            )
        if not self._has_time_for(pause + self._least()):
            return None, f"; {self._limit} left no time for one more attempt"
        return pause, ""

    def _least(self) -> float:
        """The seconds that are worth an attempt: a program may need some for its start alone."""
        return (
            0.0
            if self._limit is None
            else min(max(LEAST_SECONDS, self._limit.left / 10), self._limit.left / 2)
        )

    def forget_session(self) -> None:
        """The session is not to be continued."""
        self._session = ""
        self._tools.sessions.drop(self._asked)

    # --- one call ---------------------------------------------------------------------------------

    def _call(self, prompt: str, session: str) -> tuple[Answer, _Failure | None]:
        player, tools, attempt = self._player, self._tools, self._attempt
        new = str(uuid.uuid4()) if player.provider.names_sessions and not session else ""
        argv = player.provider.argv(player.config, session=session, new=new, writes=player.writes)
        if not is_there(argv[0], tools.root, tools.environment):
            raise StepFailed(f"agent {player.name}: {missing(player.provider, player.config)}")
        heard = Heard(player.provider, attempt, self._keep, session or new)
        attempt.keep("prompt", tools.scrub.text(prompt).encode("utf-8", "backslashreplace"))
        allowed = self.time_left()
        started = time.monotonic()
        self._started = self._started or started
        with tools.processes.scratch.folder() as files:
            context = context_json(self._context)
            (files / "context.json").write_text(context, "utf-8", "backslashreplace")
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
                raise StepTimeout(
                    f"agent {player.name}: {self._too_long(error, heard, allowed)}"
                ) from None
            except Hopeless:
                status = heard.answer.complaint_status
                said = f" ({heard.answer.complaint})" if heard.answer.complaint else ""
                message = (
                    f"the model's server answered {status}{said} {REFUSALS} times; it was ended"
                )
                return heard.answer, _Failure(f"{message}\n{player.provider.login}")
            finally:
                self._record(heard.answer, time.monotonic() - started, resumed=bool(session))
        answer = heard.answer
        if done.leftovers:
            self.tell(f"stopped what it left running: {', '.join(done.leftovers)}")
        if answer.refused:
            some = ", ".join(answer.refused[:3])
            more = f" and {len(answer.refused) - 3} more" if len(answer.refused) > 3 else ""
            self.tell(
                f"was not permitted to do, or failed at: {some}{more}; see what is missing of its "
                "work"
            )
        return answer, self._judge(heard, done)

    def _environment(self, files: Path) -> dict[str, str]:
        names = {
            "MAVERICK_AGENT": self._player.name,
            "MAVERICK_CONTEXT": name_text(files / "context.json"),
            "MAVERICK_OUTPUT": name_text(files / "output.json"),
        }
        options = environment_of(self._player.config)
        return {"NO_COLOR": "1", **self._inherited, **self._attempt.environment, **options, **names}

    def _judge(self, heard: Heard, done: Completed) -> _Failure | None:
        """What is wrong with how a call ended; None if nothing is."""
        if heard.answer.failure or done.exit_code != 0:
            return self._failure(heard, done)
        if heard.too_long:
            return _Failure(f"it {heard.too_long}")
        if not heard.answer.finished:
            return _Failure(
                f"it was cut short before it was done{heard.last_words()}", goes_on=True
            )
        if not heard.answer.text.strip():
            return _Failure(f"it printed nothing{heard.last_words()}")
        return None

    def _failure(self, heard: Heard, done: Completed) -> _Failure:
        """Why a call failed: its exit code and what that means, its error, else the last lines it
        wrote.
        """
        provider, answer, words = self._player.provider, heard.answer, heard.words()
        how = how_it_ended(done) if done.exit_code != 0 else ""
        told = (
            how,
            provider.exit_codes.get(done.exit_code),
            answer.failure or words or answer.complaint,
        )
        message = ": ".join(filter(None, told))
        wait = answer.wait
        if wait is None and (
            provider.is_limit(done.exit_code, answer) or _LIMIT_WORDS.search(message)
        ):
            wait = seconds_to_wait(message, datetime.now(UTC))
        if provider.is_transport(done.exit_code, answer, words) or wait is not None:
            limit = wait is not None or provider.is_limit(done.exit_code, answer)
            return _Failure(message, transport=True, limit=limit, wait=wait)
        if answer.cut_short:
            return _Failure(f"it was cut short before it was done: {message}", goes_on=True)
        if done.exit_code in _KILLED and not answer.failure:
            return _Failure(message, goes_on=True)
        if done.signal:
            return _Failure(message)
        return _Failure(
            message
            + self._how_to_log_in(
                provider.status_of(done.exit_code, answer), done.exit_code, told[2]
            )
        )

    def _too_long(self, error: StepTimeout, heard: Heard, allowed: Limit | None) -> str:
        """What took too long; when a later call began; and what was last heard."""
        late = ""
        if self._limit is not None and allowed is not None and allowed.left < self._limit.left:
            late = f"; this call began after {_time(self._limit.left - allowed.left)} of it"
            late += f", since the one before failed: {self._before}" if self._before else ""
        status = heard.answer.complaint_status
        login = f"\n{self._player.provider.login}" if status in (401, 403) else ""
        return f"{error}{late}{heard.last_words()}{login}"

    def _how_to_log_in(self, status: int | None, exit_code: int, said: str) -> str:
        """How to log in, if that is what is wrong. Its own check is asked only where its words are
        about it.
        """
        provider = self._player.provider
        if status in (401, 403) or "logged in" in provider.exit_codes.get(exit_code, ""):
            return f"\n{provider.login}"
        asked = status is None and _ABOUT_LOGIN.search(said) is not None and not self._has_key()
        return f"\n{provider.login}" if asked and self._is_logged_out() else ""

    def _has_key(self) -> bool:
        """Whether the program has a key that its own check knows nothing of."""
        provider, config = self._player.provider, self._player.config
        environment = {**self._inherited, **environment_of(config)}
        return bool(environment.get(provider.silent_without)) or provider.has_own_login(
            config, environment
        )

    def _warn_of_silence(self) -> None:
        provider = self._player.provider
        if provider.silent_without and not self._has_key() and self._is_logged_out():
            self.tell(
                f"nobody seems to be logged in, and {provider.name} may wait in silence: "
                f"{provider.login}"
            )

    def _is_logged_out(self) -> bool:
        """Whether the program's own check says that nobody is logged in. One that cannot be made
        says nothing.
        """
        check = self._player.provider.asks_for_login(self._player.config)
        environment = self._inherited
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

    # --- what is noted ----------------------------------------------------------------------------

    def _keep(self, session: str) -> None:
        if self._player.provider.again:
            self._session = session
            self._tools.sessions.keep(self._asked, session)

    def _record(self, answer: Answer, seconds: float, *, resumed: bool) -> None:
        """Add the call to the volatile facts of the step, with the numbers as the program gives
        them.
        """
        provider = self._player.provider
        facts = cast(
            "dict[str, object]",
            self._attempt.facts.setdefault("agent", {"provider": provider.name, "called": 0}),
        )
        if model := answer.model or self._player.config.model:
            facts["model"] = model[:200]
        if answer.session:
            facts["session"] = answer.session[:200]
        self._add_costs(facts, answer.usage, resumed=resumed)
        call: dict[str, object] = {**answer.usage, "seconds": round(seconds, 3), "resumed": resumed}
        facts["calls"] = [*cast("list[object]", facts.get("calls", [])), call][-CALLS_KEPT:]
        facts["called"] = cast("int", facts["called"]) + 1

    def _add_costs(
        self, facts: dict[str, object], usage: Mapping[str, int | float], *, resumed: bool
    ) -> None:
        """Add a call to the tokens and dollars of the step.

        Of a session that goes on, some programs give running totals: a number that is not below
        that of the call before is one.
        """
        provider = self._player.provider
        before = self._told if resumed else {}
        new = {
            name: number - before[name]
            if name in provider.running_totals and before.get(name, number + 1) <= number
            else number
            for name, number in usage.items()
        }
        self._told = usage
        if provider.cached_apart and "input_tokens" in new:
            new["input_tokens"] += new.get("cached_tokens", 0)
        for name, told in (
            ("tokens_in", "input_tokens"),
            ("tokens_out", "output_tokens"),
            ("usd", "cost_usd"),
        ):
            if told in new:
                facts[name] = round(cast("float", facts.get(name, 0)) + new[told], 6)

    def tell(self, message: str) -> None:
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


def _time(seconds: float) -> str:
    """`90 s`, `12.5 s`, `25 min`."""
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds:.3g} s"


def _clock(seconds: float) -> str:
    """The time of day in so many seconds, with the day if it is another one."""
    moment = datetime.fromtimestamp(time.time() + seconds).astimezone()
    same = moment.date() == datetime.now().astimezone().date()
    return f"{moment:%H:%M}" if same else f"{moment:%Y-%m-%d %H:%M}"
