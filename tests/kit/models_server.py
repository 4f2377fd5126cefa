"""A stand-in for the vendors' models, so that the real agent programs can be run without a network
or an account.

It speaks Anthropic Messages, OpenAI Responses and Chat Completions, and Gemini generateContent,
streamed or not, on
127.0.0.1, and takes any key. What the model does is said by `ModelServer.play`: the program's own
tools do it.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias
from urllib.parse import urlsplit

MODEL = "standin-model"


@dataclass(frozen=True, slots=True)
class Write:
    """Write a file of the project."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Run:
    """Run a command in a shell."""

    command: str


@dataclass(frozen=True, slots=True)
class Say:
    """End the turn with a text."""

    text: str


@dataclass(frozen=True, slots=True)
class Hang:
    """Begin an answer, and never go on."""


Act: TypeAlias = Write | Run | Say | Hang


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool, as a model asks for it. *raw* is a text in place of arguments."""

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says: the tools that may be called, and `user` texts and `call`s in their
    order.
    """

    tools: dict[str, dict[str, Any]]
    turns: list[tuple[str, str]]

    @property
    def prompts(self) -> list[str]:
        """All texts of the user, reminders of the program included."""
        return [text for kind, text in self.turns if kind == "user"]


class ModelServer:
    """A server in this process. A test says what the model does; programs reach it at `url`."""

    def __init__(self, folder: Path) -> None:
        """*folder* is the project's: some tools want absolute paths."""
        self.folder = folder
        self.asked: list[Asked] = []
        """The requests in which a model could have used tools, in their order."""
        self.hanging = threading.Event()
        self._plays: list[tuple[str, Sequence[Act]]] = []
        self._refusals: list[tuple[int, dict[str, str]]] = []
        self._refuses_for_ever = False
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.url = ""

    def play(self, pattern: str, *acts: Act) -> None:
        """Whoever is asked something that *pattern* is found in does *acts*, one a turn. The newest
        play counts.
        """
        with self._lock:
            self._plays.insert(0, (pattern, acts))
            self.hanging.clear()

    def refuse(self, status: int, times: int | None = None, **headers: str) -> None:
        """Answer the next requests with an HTTP status: so many *times*, or for ever. Status 0:
        answer again.
        """
        with self._lock:
            self._refuses_for_ever = times is None and status != 0
            self._refusals = [(status, headers)] * (times or 1) if status else []

    @contextmanager
    def serving(self) -> Iterator[ModelServer]:
        """Serve while the block runs."""
        handler = type("Handler", (_Handler,), {"model": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            server.shutdown()
            thread.join()
            server.server_close()

    # --- what the handler asks --------------------------------------------------------------------

    def refusal(self) -> tuple[int, dict[str, str]] | None:
        """The status and headers that the next request is refused with."""
        with self._lock:
            if not self._refusals:
                return None
            return self._refusals[0] if self._refuses_for_ever else self._refusals.pop(0)

    def next_act(self, asked: Asked) -> Act:
        """What the model does next: of the play that the newest fitting prompt calls for, the first
        act not done.
        """
        with self._lock:
            self.asked.append(asked)
            for at in range(len(asked.turns) - 1, -1, -1):
                kind, text = asked.turns[at]
                acts = next(
                    (acts for pattern, acts in self._plays if re.search(pattern, text, re.DOTALL)),
                    None,
                )
                if kind == "user" and acts is not None:
                    done = sum(kind == "call" for kind, _ in asked.turns[at:])
                    return acts[done] if done < len(acts) else Say("Done.")
        return Say("Done.")

    def hang(self) -> None:
        """Keep a request waiting until the server ends."""
        self.hanging.set()
        self._ended.wait()

    def call_for(self, act: Write | Run, tools: dict[str, dict[str, Any]]) -> Call:
        """The call of one of *tools* that does *act*; of one that is not there, as models try, if
        none does.
        """
        if isinstance(act, Write):
            for name in ("Write", "write_file", "write", "create"):
                if name in tools:
                    known = tools[name].get("properties", {})
                    path = next(key for key in ("file_path", "filePath", "path") if key in known)
                    text = "file_text" if "file_text" in known else "content"
                    return Call(name, {path: str(self.folder / act.path), text: act.text})
            if "apply_patch" in tools:
                added = "".join(f"+{line}\n" for line in act.text.splitlines())
                return Call(
                    "apply_patch",
                    raw=f"*** Begin Patch\n*** Add File: {act.path}\n{added}*** End Patch\n",
                )
            if "exec_command" in tools or "shell" in tools:
                return self.call_for(Run(f"printf '%b' {json.dumps(act.text)} > {act.path}"), tools)
            return Call(
                "write_file", {"file_path": str(self.folder / act.path), "content": act.text}
            )
        for name in ("Bash", "run_shell_command", "bash", "shell", "exec_command", "shell_command"):
            if name in tools:
                known = tools[name].get("properties", {})
                key = "cmd" if "cmd" in known else "command"
                is_list = known.get(key, {}).get("type") == "array"
                given: dict[str, Any] = {
                    key: ["bash", "-lc", act.command] if is_list else act.command
                }
                return Call(
                    name,
                    given | ({"description": "runs a command"} if "description" in known else {}),
                )
        return Call("run_shell_command", {"command": act.command})


class _Dialect(Protocol):
    """How one vendor's interface looks. `answer` gives the events of a stream, or the whole as its
    last.
    """

    def read(self, body: dict[str, Any]) -> Asked: ...
    def error(self, status: int) -> dict[str, Any]: ...
    def events(self, act: Call | str, *, whole: bool) -> Iterator[dict[str, Any]]: ...


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: ClassVar[ModelServer]

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

    def do_HEAD(self) -> None:
        self._reply({})

    def do_GET(self) -> None:
        models = [{"id": MODEL, "object": "model", "created": 0, "owned_by": "standin"}]
        self._reply(
            {"object": "list", "data": models, "models": []} if "/models" in self.path else {}
        )

    def do_POST(self) -> None:
        raw = self._body()
        path = urlsplit(self.path).path
        dialect = next((each for sign, each in _DIALECTS.items() if sign in path), None)
        if dialect is None or path.endswith(("count_tokens", ":countTokens")):
            self._reply({"input_tokens": 100, "totalTokens": 100})
            return
        body = json.loads(raw)
        asked = dialect.read(body)
        stream = bool(body.get("stream")) or "stream" in path
        with suppress(ConnectionError):
            if "complexity_score" in raw.decode("utf-8", "replace") and not asked.tools:
                # Gemini asks a small model which model to take.
                self._answer(
                    dialect,
                    '{"complexity_reasoning": "small", "complexity_score": 10}',
                    stream=stream,
                )
                return
            if asked.tools and (refusal := self.model.refusal()):
                self._reply(dialect.error(refusal[0]), *refusal)
                return
            act = self.model.next_act(asked) if asked.tools else Say("A title")
            match act:
                case Hang():
                    self._begin_stream()
                    self._event(next(dialect.events("", whole=False)))
                    self.model.hang()
                case Say(text):
                    self._answer(dialect, text, stream=stream)
                case Write() | Run():
                    self._answer(dialect, self.model.call_for(act, asked.tools), stream=stream)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        raw = b""
        while length := int(self.rfile.readline().split(b";")[0], 16):
            raw += self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()
        return raw

    def _reply(
        self, value: object, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def _event(self, value: dict[str, Any]) -> None:
        named = f"event: {value['type']}\n" if "type" in value else ""
        self.wfile.write(f"{named}data: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()

    def _answer(self, dialect: _Dialect, act: Call | str, *, stream: bool) -> None:
        if not stream:
            *_, whole = dialect.events(act, whole=True)
            self._reply(whole)
            return
        self._begin_stream()
        for event in dialect.events(act, whole=False):
            self._event(event)
        if isinstance(dialect, _Chat):
            self.wfile.write(b"data: [DONE]\n\n")


# --- the dialects ---------------------------------------------------------------------------------

_ERRORS = {
    400: ("invalid_request_error", "this model does not take images"),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "this key may not use the model"),
    429: ("rate_limit_error", "This request would exceed your rate limit"),
    529: ("overloaded_error", "Overloaded"),
}


def _pieces(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text) or [text]


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:20]}"


class _Messages:
    """Anthropic."""

    def read(self, body: dict[str, Any]) -> Asked:
        turns: list[tuple[str, str]] = []
        for message in body["messages"]:
            content = message["content"]
            for block in (
                [{"type": "text", "text": content}] if isinstance(content, str) else content
            ):
                if block["type"] == "tool_use":
                    turns.append(("call", block["name"]))
                elif message["role"] == "user" and block["type"] == "text":
                    turns.append(("user", block["text"]))
        return Asked(
            {tool["name"]: tool.get("input_schema", {}) for tool in body.get("tools", [])}, turns
        )

    def error(self, status: int) -> dict[str, Any]:
        kind, text = _ERRORS.get(status, ("api_error", "Internal server error"))
        return {"type": "error", "error": {"type": kind, "message": text}}

    def events(self, act: Call | str, *, whole: bool) -> Iterator[dict[str, Any]]:
        usage = {
            "input_tokens": 100,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 40,
        }
        reason = "tool_use" if isinstance(act, Call) else "end_turn"
        block: dict[str, Any] = {"type": "text", "text": ""}
        deltas = (
            [{"type": "text_delta", "text": piece} for piece in _pieces(act)]
            if isinstance(act, str)
            else []
        )
        if isinstance(act, Call):
            block = {"type": "tool_use", "id": _id("toolu"), "name": act.tool, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(act.arguments)}]
        message = {
            "id": _id("msg"), "type": "message", "role": "assistant", "model": MODEL, "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1},
        }  # fmt: skip
        if whole:
            full = (
                {**block, "text": act}
                if isinstance(act, str)
                else {**block, "input": act.arguments}
            )
            yield {
                **message,
                "content": [full],
                "stop_reason": reason,
                "usage": {**usage, "output_tokens": 20},
            }
            return
        yield {"type": "message_start", "message": message}
        yield {"type": "content_block_start", "index": 0, "content_block": block}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": 0, "delta": delta}
        yield {"type": "content_block_stop", "index": 0}
        ending = {"stop_reason": reason, "stop_sequence": None}
        yield {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 20}}
        yield {"type": "message_stop"}


class _Responses:
    """OpenAI, as Codex speaks to it."""

    def read(self, body: dict[str, Any]) -> Asked:
        turns: list[tuple[str, str]] = []
        for item in body["input"]:
            if item.get("type") in {"function_call", "custom_tool_call", "local_shell_call"}:
                turns.append(("call", item.get("name", "")))
            elif item.get("role") == "user":
                turns += [("user", part["text"]) for part in item["content"] if "text" in part]
        tools = {
            tool.get("name", tool["type"]): tool.get("parameters", {})
            for tool in body.get("tools", [])
        }
        return Asked(tools, turns)

    def error(self, status: int) -> dict[str, Any]:
        kind, text = _ERRORS.get(status, ("server_error", "The server had an error"))
        return {"error": {"message": text, "type": kind, "code": None, "param": None}}

    def events(self, act: Call | str, *, whole: bool) -> Iterator[dict[str, Any]]:
        name = _id("item")
        item: dict[str, Any] = {
            "id": name,
            "status": "completed",
            "type": "message",
            "role": "assistant",
        }
        if isinstance(act, str):
            item["content"] = [{"type": "output_text", "text": act, "annotations": []}]
        else:
            item = {"id": name, "call_id": name, "name": act.tool, "status": "completed"}
            item |= {"type": "custom_tool_call", "input": act.raw} if act.raw else {
                "type": "function_call", "arguments": json.dumps(act.arguments),
            }  # fmt: skip
        usage = {
            "input_tokens": 100, "input_tokens_details": {"cached_tokens": 40}, "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 120,
        }  # fmt: skip
        response = {
            "id": _id("resp"),
            "object": "response",
            "model": MODEL,
            "status": "in_progress",
            "output": [],
        }
        if not whole:
            yield {"type": "response.created", "response": response}
            yield {"type": "response.output_item.added", "output_index": 0, "item": item}
            yield {"type": "response.output_item.done", "output_index": 0, "item": item}
        complete = {**response, "status": "completed", "output": [item], "usage": usage}
        yield complete if whole else {"type": "response.completed", "response": complete}


class _Chat:
    """OpenAI Chat Completions, as OpenCode and Copilot speak to it."""

    error = _Responses.error

    def read(self, body: dict[str, Any]) -> Asked:
        turns: list[tuple[str, str]] = []
        for message in body["messages"]:
            content = message.get("content")
            if message["role"] == "user":
                parts = [{"text": content}] if isinstance(content, str) else content or []
                turns += [("user", part["text"]) for part in parts if "text" in part]
            turns += [
                ("call", call["function"]["name"]) for call in message.get("tool_calls") or []
            ]
        functions = [tool["function"] for tool in body.get("tools") or []]
        return Asked({each["name"]: each.get("parameters", {}) for each in functions}, turns)

    def events(self, act: Call | str, *, whole: bool) -> Iterator[dict[str, Any]]:
        usage = {
            "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 40},
        }  # fmt: skip
        calls: list[dict[str, Any]] = []
        if isinstance(act, Call):
            function = {"name": act.tool, "arguments": json.dumps(act.arguments)}
            calls = [{"index": 0, "id": _id("call"), "type": "function", "function": function}]
        reason = "tool_calls" if calls else "stop"
        base = {"id": _id("chatcmpl"), "created": 0, "model": MODEL}
        if whole:
            message = {"role": "assistant", "content": act if isinstance(act, str) else None}
            choice = {"index": 0, "message": message | ({"tool_calls": calls} if calls else {})}
            yield {
                **base,
                "object": "chat.completion",
                "choices": [{**choice, "finish_reason": reason}],
                "usage": usage,
            }
            return

        def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            return {**base, "object": "chat.completion.chunk", "choices": [choice], **more}

        yield chunk({"role": "assistant", "content": ""})
        for delta in (
            [{"tool_calls": calls}]
            if calls
            else [{"content": piece} for piece in _pieces(str(act))]
        ):
            yield chunk(delta)
        yield chunk({}, reason, usage=usage)


class _Gemini:
    """Google."""

    def read(self, body: dict[str, Any]) -> Asked:
        turns: list[tuple[str, str]] = []
        for content in body.get("contents", []):
            for part in content.get("parts", []):
                if "functionCall" in part:
                    turns.append(("call", part["functionCall"]["name"]))
                elif content.get("role") == "user" and "text" in part:
                    turns.append(("user", part["text"]))
        declared = [
            each
            for tool in body.get("tools") or []
            for each in tool.get("functionDeclarations", [])
        ]
        schemas = {
            each["name"]: each.get("parametersJsonSchema") or each.get("parameters") or {}
            for each in declared
        }
        return Asked(schemas, turns)

    def error(self, status: int) -> dict[str, Any]:
        kind, text = _ERRORS.get(status, ("server_error", "The model is overloaded"))
        return {"error": {"code": status, "message": text, "status": kind.upper()}}

    def events(self, act: Call | str, *, whole: bool) -> Iterator[dict[str, Any]]:
        usage = {
            "promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120, "cachedContentTokenCount": 40,
        }  # fmt: skip

        def chunk(*parts: dict[str, Any], reason: str = "") -> dict[str, Any]:
            candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
            candidate |= {"finishReason": reason} if reason else {}
            return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL}

        parts = (
            [{"text": piece} for piece in _pieces(act)]
            if isinstance(act, str)
            else [{"functionCall": {"name": act.tool, "args": act.arguments}}]
        )
        if not whole:
            yield from (chunk(part) for part in parts[:-1])
        yield chunk(*(parts if whole else parts[-1:]), reason="STOP")


_DIALECTS: dict[str, _Dialect] = {
    "/messages": _Messages(),
    "/responses": _Responses(),
    "/chat/completions": _Chat(),
    "enerateContent": _Gemini(),
}
