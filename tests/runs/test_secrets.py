"""No value named under `secrets:` reaches the store, the events or the terminal, whatever a run
does with it.
"""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from kit.program import Ended, Program
from maverick.checkpoints import Store
from maverick.dsl.processes.secrets import Scrubber

TOKEN = 'tok"en/with+all &sorts/of=signs'
KEY = "AKIA0123456789ABCDEFKEY"
ACTIONS = '''
import base64
import json
import os
import subprocess
import sys
from urllib.parse import quote

TOKEN, KEY = os.environ["TOKEN"], os.environ["KEY"]


def forms():
    """Everything that may be made of a secret, at any depth."""
    data = TOKEN.encode()
    return {
        KEY: [TOKEN, {"nested": f"<{KEY}>", "bytes": b"x" + data}],
        "url": [quote(TOKEN), quote(TOKEN, safe="")],
        "json": [json.dumps(TOKEN), json.dumps({"inside": json.dumps([TOKEN])})],
        "base64": [base64.b64encode(b"x" * offset + data + b"tail").decode() for offset in range(3)],
        "lines": base64.encodebytes(b"y" * 50 + data).decode(),
        "python": repr([TOKEN]),
    }


def cry():
    """Print, and raise."""
    print("printed", TOKEN, KEY)
    print("to stderr", TOKEN, file=sys.stderr, flush=True)
    try:
        raise KeyError(TOKEN)
    except KeyError as error:
        raise ValueError(f"cannot use {KEY}") from error


def cry_slowly():
    """As above, in a process of its own."""
    return cry()


async def cry_later():
    """As above, on the loop."""
    return cry()


def undo():
    """Fail to undo, loudly."""
    raise OSError(f"{KEY} is in the way")
'''
FLOW = """
version: "1.0"
name: leak
steps:
  - name: shell
    type: shell
    env: {AGAIN: "${{ env.TOKEN }}"}
    run: |
      printf %s "${KEY:0:9}"; printf '%s\\n' "${KEY:9}"
      set -x
      echo "$TOKEN $AGAIN"; echo "$KEY" >&2
      printf %s "$TOKEN" | base64; printf 'x%s' "$TOKEN" | base64 -w 20
      echo ${{ quote(env.KEY) }}
    rollback: undo
  - {name: lines, type: shell, run: 'echo "$KEY"; echo "[\\"$KEY\\"]" ', parse: lines}
  - {name: python, type: python, action: leaks:forms}
  - {name: raises, type: python, action: leaks:cry, continue_on_error: true}
  - {name: raises_apart, type: python, action: leaks:cry_slowly, timeout: 300,
     continue_on_error: true}
  - {name: raises_later, type: python, action: leaks:cry_later, continue_on_error: true}
  - {name: retried, type: shell, run: 'echo "$KEY" >&2; exit 3', retry: {attempts: 2},
     continue_on_error: true}
  - {name: late, type: shell, run: 'echo "$KEY"; sleep 6000', timeout: 0.3, continue_on_error: true}
  - {name: expression, type: python, action: log_message, args: ["${{ int(env.TOKEN) }}"],
     continue_on_error: true}
  - name: list
    type: loop
    for_each: ${{ [env.TOKEN, env.KEY] }}
    key: ${{ str(index) + item }}
    continue_on_error: true
    steps:
      - {name: one, type: shell, run: 'echo ${{ quote(item) }}; exit 1',
         when: "item != 'x' and env.KEY"}
  - name: no_list
    type: loop
    for_each: ${{ env.KEY }}
    continue_on_error: true
    steps: [{name: x, type: checkpoint}]
  - name: rounds
    type: loop
    until: ${{ env.KEY }}
    steps: [{name: turn, type: python, action: log_message, args: ["${{ env.KEY }}"]}]
  - name: choice
    type: branch
    options: [{when: "${{ env.KEY }}", step: {name: chosen, type: shell, run: "echo $KEY"}}]
  - {name: sub, type: subworkflow, workflow: ./inner.yaml, inputs: {given: "${{ env.TOKEN }}"},
     continue_on_error: true}
  - name: validate
    type: validate
    stages: [{name: "${{ env.KEY }}", run: 'echo "$TOKEN $KEY"; exit 1'}]
    retry: 1
    on_failure: {type: shell, run: 'echo "$KEY"'}
  - {name: agent, type: agent, agent: helper, context: {task: "use ${{ env.TOKEN }}",
     KEY: "${{ env.KEY }}"}}
  - name: asked
    type: agent
    agent: helper
    context: {task: "${{ env.KEY }}"}
    output_schema: {type: object, properties: {no: {type: integer}}, required: [no]}
    continue_on_error: true
  - {name: generate, type: generate, generator: commit_message, context: {diff: "${{ env.KEY }}"}}
  - {name: mark, type: checkpoint, checkpoint_id: "mark-${{ env.KEY }}", workspace: true}
  - {name: again, type: shell, run: 'echo "$KEY"', rollback: undo}
  - {name: stop, type: shell, run: 'test -e ready || { echo "$TOKEN $KEY" >&2; exit 1; }'}
outputs:
  all: ${{ steps }}
  key: ${{ env.KEY }}
  base64: ${{ env.ENCODED }}
"""
INNER = """
version: "1.0"
name: inner
inputs: {given: {type: string}}
steps:
  - {name: deep, type: shell, run: 'echo ${{ quote(inputs.given) }}; exit 1'}
"""
AGENT = """
cat; cat "$MAVERICK_CONTEXT"; echo "$KEY" >&2; printf '{"token": "%s", "key": "%s"}' "$TOKEN" "$KEY"
"""
CONFIG = """
secrets: [TOKEN, KEY, NOT_SET]
actions: [leaks]
agents: {helper: &it {provider: command, command: [sh, agent.sh]}, commit_message: *it}
"""


def _project(folder: Path, flow: str = FLOW) -> Program:
    program = Program(folder / "project")
    encoded = base64.b64encode(b"header:" + KEY.encode()).decode()
    program.environment |= {
        "TOKEN": TOKEN,
        "KEY": KEY,
        "ENCODED": encoded,
        "PYTHONPATH": f"{program.environment['PYTHONPATH']}",
    }
    program.file("leaks.py", ACTIONS)
    program.file("agent.sh", AGENT)
    program.file("inner.yaml", INNER)
    program.file("maverick.yaml", CONFIG)
    program.file("flow.yaml", flow)
    return program


def _everything(store: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the store as it is, and what records hold as it was before it was
    compressed.
    """
    for path in sorted(store.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(store)), path.read_bytes()
    opened = Store.open(store)
    opened.objects.packs.refresh()
    for pack in opened.objects.packs.listed():
        for at in range(len(pack.records)):
            yield f"meta {at} of pack {pack.name}", pack.meta(at)
        for _, _, object_id in pack.objects():
            yield f"object {object_id}", opened.objects.read(object_id)


def _needles() -> list[bytes]:
    """What must not be found: stretches that a search for the whole secret would miss, too."""
    found = {
        TOKEN[:12],
        KEY[:12],
        KEY[-12:],
        json.dumps(TOKEN)[1:14],
        quote(TOKEN, safe="")[:12],
        repr(TOKEN)[1:13],
    }
    for secret in (TOKEN, KEY):
        for offset in range(3):
            found.add(base64.b64encode(b"x" * offset + secret.encode())[4:14].decode())
    return [needle.encode() for needle in found]


def _check_clean(name: str, data: bytes) -> None:
    for needle in _needles():
        at = data.find(needle)
        assert at < 0, (name, needle, data[max(at - 200, 0) : at + 100])


def _check_all(program: Program, *ended: Ended) -> None:
    for name, data in _everything(program.root / ".maverick" / "checkpoints"):
        _check_clean(name, data)
    for name in ("events.jsonl", "more.jsonl"):
        if (program.root / name).exists():
            _check_clean(name, (program.root / name).read_bytes())
    for one in ended:
        _check_clean("stdout", one.out.encode())
        _check_clean("stderr", one.err.encode())


def test_a_run_that_tries_every_way_out_keeps_its_secrets(tmp_path: Path) -> None:
    """Output, errors, labels, keys, decisions, encodings: the store, the events and the terminal
    hold none.
    """
    program = _project(tmp_path)

    failed = program.run("run", "flow.yaml", "--events", "events.jsonl", "--json")
    program.file("ready", "")
    done = program.run("run", "flow.yaml", "--resume", "--events", "more.jsonl")
    run = failed.json["run"]
    shown = [
        program.run("checkpoint", "show", f"{run}:output"),
        program.run("checkpoint", "log", run),
        program.run("checkpoint", "list", "--json"),
        program.run("checkpoint", "diff", f"{run}~3", run),
    ]

    assert (1, 0) == (failed.code, done.code), failed.err + done.err
    assert 1 == len(failed.json["rollback_errors"])
    assert 10 < failed.json["steps"]["ran"]
    _check_all(program, failed, done, *shown)
    assert "***" in done.out
    assert "printed *** ***" in failed.err
    assert "mark-***" in shown[2].out
    assert "***" in (program.root / "events.jsonl").read_text()


def test_what_a_killed_run_left_is_stopped_without_saying_its_secrets(tmp_path: Path) -> None:
    """Command lines are noted while a command runs, and shown when a resumption stops it."""
    program = _project(tmp_path)
    program.file("wait.py", "import sys, time\ntime.sleep(6000)\n")
    program.flow(
        "- {name: a, type: shell, run: 'test -e ready || { touch $MARK; python3 wait.py ${{ "
        "quote(env.KEY) }}; }'}"
    )
    running = program.begin("run", "flow.yaml").wait_for(program.mark)
    running.signal(signal.SIGKILL)
    ended = running.end()
    noted = b"".join(
        path.read_bytes() for path in (program.root / ".maverick/checkpoints/owners").iterdir()
    )
    program.file("ready", "")
    resumed = program.run("run", "flow.yaml", "--resume")

    assert b"***" in noted
    assert 0 == resumed.code, resumed.err
    assert "stopped what was left of the interrupted run" in resumed.err
    _check_all(program, ended, resumed)


def test_a_run_that_is_paused_keeps_its_secrets(tmp_path: Path) -> None:
    """What a step had said when it was stopped is shown, and masked."""
    program = _project(tmp_path)
    program.flow("- {name: wait, type: shell, run: 'echo $KEY; touch $MARK; exec sleep 6000'}")
    running = program.begin("run", "flow.yaml", "--events", "events.jsonl").wait_for(program.mark)
    ended = running.signal(signal.SIGTERM).end()

    assert 130 == ended.code
    _check_all(program, ended)


@pytest.mark.parametrize("value", ["short", "1234567", "  12345  "])
def test_a_short_secret_is_refused_before_anything_runs(tmp_path: Path, value: str) -> None:
    """It would be found out by what is masked."""
    program = _project(tmp_path)
    refused = program.run("run", "flow.yaml", KEY=value)

    assert 2 == refused.code
    assert "the secret KEY has less than 8 characters" in refused.err
    assert not (program.root / ".maverick").exists()


def test_an_input_or_a_definition_that_holds_a_secret_is_refused(tmp_path: Path) -> None:
    """A run records both as they are."""
    program = _project(tmp_path)
    program.flow("inputs: {text: {type: string}}\nsteps:\n  - {name: a, type: checkpoint}")
    refused = program.run("run", "flow.yaml", "-i", f"text=<{KEY}>")
    program.flow(f"- {{name: a, type: shell, run: echo {KEY}}}", "other")
    other = program.run("run", "other.yaml")

    assert (2, 2) == (refused.code, other.code)
    assert "the input text holds a value of TOKEN, KEY" in refused.err
    assert "other.yaml holds a value of TOKEN, KEY" in other.err
    assert not (program.root / ".maverick").exists()


@pytest.mark.parametrize(
    "command",
    [("run", "flow.yaml"), ("run", "flow.yaml", "--plan"), ("run", "flow.yaml", "--resume")],
)
@pytest.mark.parametrize("name", ["number", "text", "unknown"])
def test_no_refusal_of_an_input_repeats_a_secret(
    tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    """That it is of the wrong type, unknown, or not what the run recorded, is said of a value, and
    so with it.
    """
    program = _project(tmp_path)
    program.flow(
        """
        inputs: {text: {type: string}, number: {type: integer, default: 1}}
        steps:
          - {name: a, type: shell, run: exit 1}
        """
    )
    program.run("run", "flow.yaml", "-i", "text=recorded")

    refused = program.run(*command, "-i", f"{name}={KEY}")

    assert 2 == refused.code
    assert f"the input {name} holds a value of TOKEN, KEY" in refused.err
    assert KEY not in refused.err + refused.out


def test_a_file_that_holds_a_secret_is_kept_and_named(tmp_path: Path) -> None:
    """Files are kept as they are: whoever shares the store should know. It is said once, when the
    file is read.
    """
    program = _project(tmp_path)
    program.file("config/settings.ini", f"key = {KEY}\n")
    program.file("plain.txt", "nothing\n")
    program.flow(
        """
        - {name: one, type: checkpoint, workspace: true}
        - {name: wait, type: shell, run: sleep 2.1}
        - {name: two, type: checkpoint, workspace: true}
        - {name: three, type: checkpoint, workspace: true}
        """
    )
    ended = program.run("run", "flow.yaml", "--json")

    assert 0 == ended.code, ended.err
    assert (
        "warning: the checkpoint keeps files that hold a secret: config/settings.ini" in ended.err
    )
    assert "plain.txt" not in ended.err
    shown = program.run(
        "checkpoint", "cat", f"{ended.json['run']}@one:workspace/config/settings.ini"
    )
    assert f"key = {KEY}\n" == shown.out


def test_what_is_masked_is_the_same_when_the_run_is_resumed(tmp_path: Path) -> None:
    """A step that reads a masked output has not changed."""
    program = _project(tmp_path)
    program.flow(
        """
        - {name: a, type: shell, run: echo $KEY}
        - {name: b, type: shell, run: "echo ${{ quote(steps.a.output.value) }} ${{ quote(env.KEY) }}"}
        - {name: c, type: shell, run: test -e ready}
        """
    )
    program.run("run", "flow.yaml")
    program.file("ready", "")
    resumed = program.run("run", "flow.yaml", "--resume", "--json", KEY="another-secret-key")

    assert {"ran": 1, "recalled": 2, "skipped": 0, "failed": 0, "reused": 0} == resumed.json[
        "steps"
    ]
    assert not Scrubber([KEY]).holds(resumed.out.encode())


def test_credentials_of_agents_and_of_gh_are_masked_unasked(tmp_path: Path) -> None:
    """Nobody has to name what the programs of the shipped agents read."""
    program = _project(tmp_path)
    program.file("maverick.yaml", "")
    program.flow(
        "- {name: a, type: shell, run: 'echo $GH_TOKEN; echo $OPENAI_API_KEY >&2; exit 1'}"
    )
    ended = program.run("run", "flow.yaml", GH_TOKEN="ghp_0123456789", OPENAI_API_KEY="x")

    assert "exit code 1: x" in ended.err
    program.flow("- {name: a, type: shell, run: 'echo $GH_TOKEN >&2; exit 1'}")
    ended = program.run("run", "flow.yaml", "--events", "events.jsonl", GH_TOKEN="ghp_0123456789")
    assert "exit code 1: ***" in ended.err
    for name, data in _everything(program.root / ".maverick" / "checkpoints"):
        assert b"ghp_0123456789" not in data, name
    assert "ghp_0123456789" not in (program.root / "events.jsonl").read_text()


def test_an_input_that_holds_a_credential_is_refused_by_its_name(tmp_path: Path) -> None:
    """As one that holds a named secret; the variable is told, its value is not."""
    program = _project(tmp_path)
    program.flow("inputs: {text: {type: string}}\nsteps:\n  - {name: a, type: checkpoint}")

    refused = program.run(
        "run", "flow.yaml", "-i", "text=<sk-0123456789>", ANTHROPIC_API_KEY="sk-0123456789"
    )

    assert 2 == refused.code
    said = (
        "the input text holds a value of ANTHROPIC_API_KEY, which an agent's program or `gh` "
        "reads as its credential"
    )
    assert said in refused.err
    assert "sk-0123456789" not in refused.err


def test_a_key_that_is_printed_line_by_line_is_masked(tmp_path: Path) -> None:
    """In the record, the events and what is shown; nothing of it is told by the next step
    either.
    """
    program = _project(tmp_path)
    lines = [base64.b64encode(bytes([number]) * 30).decode() for number in range(4)]
    key = "\n".join(["-----BEGIN KEY-----", *lines, "-----END KEY-----"])
    account = json.dumps(
        {"type": "service_account", "private_key": key, "id": "account-1234"}, indent=2
    )
    program.file("maverick.yaml", "secrets: [PRIVATE, ACCOUNT]")
    program.file("pick.py", 'import json, os\nprint(json.loads(os.environ["ACCOUNT"])["id"])\n')
    program.flow(
        r"""
        - {name: slowly, type: shell, run: 'while read -r line; do printf "  %s\r\n" "$line"; done <<< "$PRIVATE"'}
        - {name: json, type: shell, run: python3 pick.py}
        - {name: quoted, type: shell, run: 'printf "%q" "$PRIVATE"; set -x; : "$ACCOUNT"'}
        """
    )
    ended = program.run(
        "run", "flow.yaml", "--events", "events.jsonl", "--json", PRIVATE=key, ACCOUNT=account
    )

    assert 0 == ended.code, ended.err
    everything = [
        *_everything(program.root / ".maverick" / "checkpoints"),
        ("out", ended.out.encode()),
    ]
    everything += [
        ("err", ended.err.encode()),
        ("events", (program.root / "events.jsonl").read_bytes()),
    ]
    for name, data in everything:
        for needle in (*lines, "account-1234"):
            assert needle.encode() not in data, name
