"""What each field is for, as editors show it. The types in files of their own have theirs there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_CWD = "The folder to work in, from the project's root."

WORKFLOW: Final[Mapping[str, str]] = {
    "version": 'The version of the language: "1.0".',
    "name": "What `maverick run` calls it. `-` and `_` are the same when it is looked up.",
    "description": "For people: what it does, its inputs and its outputs.",
    "inputs": "What a run is given, by name: `maverick run NAME -i KEY=VALUE`.",
    "on_failure": "What becomes of finished steps when the run fails: `rollback` runs theirs back "
    "to the last checkpoint, `keep` runs none.",
    "checkpoints": "Whether checkpoints hold the project's files.",
    "steps": "What it does, in order.",
    "outputs": "What the run gives; without it the output of the last step.",
    "notices": "What a person has to know of a run that is done.",
    "metadata": "Anything, for people and programs of yours.",
}

STEP: Final[Mapping[str, str]] = {
    "name": "Unique in its block; expressions call it `steps.NAME`.",
    "type": "What it does. May be left out where a field says it.",
    "description": "For people.",
    "when": "An expression; the step is skipped unless it is true.",
    "requires": "Programs that have to be on PATH; looked for before the run begins.",
    "retry": "How often it is tried again when it fails, and how long it waits before.",
    "timeout": "How long an attempt may take: seconds, or `90s`, `15m`, `2h`.",
    "continue_on_error": "Whether the run goes on when it fails, with `{error}` as its output.",
    "rollback": "What undoes it when the run fails later: an action, or a step.",
    "pure": "Whether nothing but its inputs counts: what ran before does not make it run again.",
    "always_run": "Whether it runs each time that the run comes to it, also on resuming.",
    "artifacts": "Globs of files that it makes; they are recorded, and brought back if missing.",
    "logs": "Whether what its attempts write is kept.",
    "notices": "Whether the notices of the workflow that it runs are the run's.",
    "metadata": "Anything, for people and programs of yours.",
}
"""Of every step."""

STEPS: Final[Mapping[str, Mapping[str, str]]] = {
    "subworkflow": {
        "workflow": "The workflow to run: its name, or its file, from this file's folder.",
        "inputs": "What it is given.",
        "cwd": "The folder that is the project for it, from the project's root.",
    },
    "validate": {
        "stages": "What to run, up to the first that fails: names of `maverick.yaml`, commands, or "
        "`{name, run, timeout}`; without it all of `maverick.yaml`.",
        "retry": "How often to validate again, after `on_failure`.",
        "on_failure": "A step that mends what failed.",
        "fail": "Whether the step fails when a stage does; look at `success` otherwise.",
        "cwd": _CWD,
    },
    "branch": {
        "options": "`{when, step}`: the step of the first that is true is taken.",
        "else": "The step that is taken if none of them is.",
        "on_no_match": "What becomes of it if none is and there is no `else`.",
    },
    "loop": {
        "steps": "What is repeated.",
        "for_each": "A list, or an expression that gives one; each value is `item`.",
        "until": "An expression that ends the loop when it is true after a round.",
        "max_iterations": "How many rounds there may be until then (30).",
        "max_concurrency": "How many iterations run at a time (1).",
        "parallel": "Whether all run at a time.",
        "key": "An expression by which an iteration is known when the list changes.",
        "collect": "What each entry of the output is: of the `last` step, or of all `steps`.",
        "on_exhausted": "What becomes of it when `until` was true after no round.",
    },
}
"""Of steps that are made of others."""

INNER: Final[Mapping[str, Mapping[str, str]]] = {
    "retry": {
        "attempts": "How many in all.",
        "delay": "How long to wait before the second.",
        "backoff": "What the delay is multiplied by after each.",
        "max_delay": "How long it may become.",
        "on": "Only what fails so: `timeout`, or names of exceptions.",
    },
    "option": {"when": "An expression.", "step": "What is done if it is true."},
    "stage": {
        "name": "What the output calls it.",
        "run": "The command line.",
        "timeout": "How long it may take.",
    },
    "checkpoints": {
        "workspace": "Which of them hold the project's files: none (`false`), the beginning and "
        "those with a `label`, or every `step`.",
    },
    "input": {
        "type": "What it has to be.",
        "required": "Whether it has to be given (true); without a default it is null otherwise.",
        "default": "What it is if it is not given.",
        "choices": "What it may be.",
        "description": "For people.",
    },
    "notice": {
        "when": "An expression; without it the notice is always given.",
        "message": "What it says.",
    },
    "agent": {
        "provider": "The program that plays it; `none` lets a generator write without one.",
        "command": "What a `command` agent runs; of another how its program is started.",
        "model": "The model, as the program calls it.",
        "timeout": "How long an answer may take.",
        "options": "Options of the provider.",
    },
    "configured_stage": {"run": "The command line.", "timeout": "How long it may take."},
    "validation": {"stages": "Name -> command, or `{run, timeout}`; they run in this order."},
    "github": {"repo": "`owner/name`; by default the remote of git. Steps find it as GH_REPO."},
    "kept_checkpoints": {
        "keep_last": "How many done runs `gc` keeps.",
        "keep_within": "How long `gc` keeps done runs, such as 30d.",
    },
    "processes": {"grace": "How long steps' processes have from the first signal to SIGKILL."},
}
"""Of the mappings inside."""

CONFIG: Final[Mapping[str, str]] = {
    "agents": "Name -> who plays the agent; `default` is for all others.",
    "validation": "What `validate` steps run.",
    "github": "The repository on GitHub.",
    "actions": "Modules whose public functions are actions.",
    "secrets": "Names of environment variables whose values are masked.",
    "checkpoints": "What `maverick gc` keeps of runs that are done.",
    "logs": "Whether what steps write, and what agents are asked, is kept.",
    "processes": "How the processes of steps are stopped.",
}
