"""The child's side of a sync action with a timeout: see `command`.

Standard input holds the packed `[reference, args, kwargs, tops]`, `tops` of the work trees that git
may work in; the answer file gets `["done", output]`, `["raised", {message, causes, log}]` or, where
the action said itself why it fails, `["failed", {message, causes}]`. Values travel as the store
encodes them: data only.
"""

from __future__ import annotations

import base64
import faulthandler
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from maverick.checkpoints.trees.codec import decode, encode
from maverick.dsl.catalog.actions import load_action
from maverick.dsl.processes.programs import python_command
from maverick.dsl.steps.exceptions import raised_by
from maverick.encoding import name_text
from maverick.errors import MaverickError
from maverick.repositories import trust_repositories
from maverick.values import normalise


def command(answer: Path) -> list[str]:
    """The command of a child that calls an action and writes what came of it to the file
    *answer*.
    """
    return python_command(__name__, name_text(answer))


def pack(value: Any) -> bytes:
    """*value*, with the bytes in it, as one text."""
    encoded = encode(value)
    blobs = {blob: base64.b64encode(data).decode() for blob, data in encoded.attachments.items()}
    return json.dumps([encoded.data.decode(), blobs]).encode()


def unpack(data: bytes) -> Any:
    """The value that `pack` packed."""
    text, blobs = json.loads(data)
    return decode(text.encode(), lambda blob: base64.b64decode(blobs[blob]))


def main(answer_file: str) -> None:
    """Call the action and write what came of it; where it stood is told when it crashes in C, or is
    stopped.
    """
    faulthandler.enable()
    faulthandler.register(signal.SIGTERM, chain=True)
    reference, args, kwargs, tops = unpack(sys.stdin.buffer.read())
    trust_repositories(tops)
    answer: list[Any]
    process = os.getpid()
    try:
        action = load_action(reference)
        answer = ["done", normalise(action.function(*args, **kwargs), "output")]
    except MaverickError as error:
        answer = ["failed", {"message": str(error), "causes": [type(error).__name__]}]
    except BaseException as error:  # noqa: BLE001 - whatever it raises is the step's failure, SystemExit too
        raised = raised_by(error, action.file, action.root)
        log = [list(entry) for entry in raised.log]
        answer = ["raised", {"message": str(raised), "causes": list(raised.causes), "log": log}]
    if os.getpid() == process:
        # And not a child that the action forked, which came back from it as well.
        Path(answer_file).write_bytes(pack(answer))
