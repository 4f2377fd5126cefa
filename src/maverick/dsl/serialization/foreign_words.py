"""Words of other systems, and what each is here: GitHub Actions, GitLab CI, Taskfile, Ansible,
Argo, Airflow, docker-compose.

A word whose value means the same here is read as the field that it stands for, once it has been
told, so that the other mistakes of the mapping are found as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping


class Word(NamedTuple):
    """`answer` says what to write instead; `field` is the field that it stands in for.

    `same`: its value is one for that field.
    """

    answer: str = ""
    field: str = ""
    same: bool = False


Words: TypeAlias = "Mapping[str, Word]"


def _same(field: str, *words: str, answer: str = "") -> dict[str, Word]:
    """Words for *field*; *answer* is for where there is no such field."""
    return dict.fromkeys(words, Word(answer, field, same=True))


def _like(field: str, answer: str, *words: str) -> dict[str, Word]:
    """Words for what is said by *field* with another value."""
    return dict.fromkeys(words, Word(answer, field))


def _said(answer: str, *words: str) -> dict[str, Word]:
    return dict.fromkeys(words, Word(answer))


_IN_ORDER = (
    "steps run in order, and each sees those before it: remove it; what may run at the same time "
    "stands under `steps` of a step with `parallel: true`"
)
_LOOP = "what repeats is a step of its own, with `for_each` and, under `steps`, what it repeats"
_RETRY = "write `retry: {attempts: 3, delay: 10s, backoff: 2}`; `attempts` counts in all"
_HERE = "steps run on this machine, in the project's folder; remove it"
_CONTAINER = "steps run on this machine; call `docker run` in a step with `run`"
_UNDO = "`rollback` undoes a step when the run fails; `continue_on_error: true` lets the run go on"
_OWN_STEP = "make it a step of its own"
_OUTPUT = (
    "what a step prints or returns is kept unasked: read it as `${{ steps.NAME.output }}` (of a "
    "script, its text is `output.value`)"
)
_ARGUMENTS = "`args` and `kwargs` are for an `action`, `inputs` for a `workflow`, `env` for a `run`"
_CONFIGURED = "it stands under `agents` in maverick.yaml"
_UNCHANGED = (
    "a finished step is recalled when its run is resumed; `pure: true` says that only its inputs "
    "count, `artifacts` names the files that it makes"
)

STEP_WORDS: Final[Words] = {
    **_same("when", "if", "condition", "only_if", "run_if"),
    **_like("when", "write `when` with an expression", "rules", "only", "except", "unless"),
    **_same("name", "id", "task_id", "step_id", answer="a step is known by its `name`"),
    **_same("description", "desc", "summary", "comment", "title", "displayName", "display_name"),
    **_said(_IN_ORDER, "needs", "depends_on", "depends", "dependencies", "deps", "stage", "after"),
    **_said(_IN_ORDER, "parallel", "upstream", "trigger_rule"),
    **_like(
        "type",
        "nothing is fetched: name a Python function with `action`, a workflow with `workflow`, or "
        "write a script with `run`",
        "uses",
    ),
    **_said(_ARGUMENTS, "with", "arguments", "params", "parameters"),
    **_same("args", "op_args", answer=_ARGUMENTS),
    **_same("kwargs", "op_kwargs", answer=_ARGUMENTS),
    **_same("cwd", "working-directory", "working_directory", "working_dir", "workingDir"),
    **_same("cwd", "workdir", "dir", "chdir", "directory"),
    **_same("env", "environment", "environ", "env_vars"),
    **_like("env", "write `env`, for a script; what steps share are `inputs`", "variables", "vars"),
    **_same("run", "command", "cmd", "script", "bash", "bash_command", "exec", "shell_command"),
    **_like("run", "`run: |` takes a script of several lines", "cmds", "commands"),
    **_said(_OWN_STEP, "before_script", "after_script", "pre", "post", "setup", "teardown"),
    **_same("action", "function", "callable", "python_callable", "call"),
    **_like("type", _CONTAINER, "image", "container", "docker"),
    **_said(_CONTAINER, "services", "volumes", "ports", "networks", "entrypoint"),
    **_said(_HERE, "runs-on", "runs_on", "runner", "tags", "hosts", "pool", "node_selector"),
    **_said("call `sudo` in the script", "become", "become_user", "user", "sudo"),
    **_said(f"{_LOOP}; inside, `item` is the value at hand", "strategy", "matrix"),
    **_same("for_each", "foreach", "forEach", "for", "loop", "with_items", answer=_LOOP),
    **_same("for_each", "withItems", "withParam", "items", answer=_LOOP),
    **_like("until", "write `until`, which ends the loop once it holds", "while", "repeat"),
    **_same("max_concurrency", "concurrency", "max_parallel", "max-parallel", answer=_IN_ORDER),
    **_same("steps", "tasks", "block", "jobs"),
    **_like("options", "write `options: [{when: …, step: …}]`", "switch", "case", "cases", "then"),
    **_like("timeout", "write `timeout` with a unit: `timeout: 15m`", "timeout-minutes"),
    **_like("timeout", "write `timeout` with a unit: `timeout: 15m`", "timeout_minutes"),
    **_like("timeout", "write `timeout`, such as 90s, 15m or 2h", "execution_timeout"),
    **_same("timeout", "timeout_seconds", "timeoutSeconds", "activeDeadlineSeconds"),
    **_same("continue_on_error", "continue-on-error", "continueOnError", "allow_failure"),
    **_same("continue_on_error", "ignore_errors", "ignore_error", "ignoreError"),
    **_like("retry", _RETRY, "retries", "max_retries", "retry_delay", "retryStrategy", "attempts"),
    **_like("retry", _RETRY, "max_attempts", "backoff", "delay"),
    **_said(_UNDO, "rescue", "catch", "on_error", "onError", "always", "ensure", "on_failure"),
    **_said(_OUTPUT, "register", "outputs", "output", "save_as", "result"),
    **_same("checkpoint_id", "label", answer="a step has a `name` and a `description`"),
    **_same("output_schema", "schema", "response_format"),
    **_like("agent", "name the agent with `agent`", "llm", "assistant"),
    **_said(
        "what an agent is told stands in `.maverick/agents/NAME.md`, what it works on in `context`",
        "prompt",
        "instructions",
        "system_prompt",
        "message",
    ),
    **_said(_CONFIGURED, "model", "provider"),
    **_said(_UNCHANGED, "cache", "sources", "generates", "status", "creates"),
    **_said("`env` reads what the shell has: `${{ env.NAME }}`", "secrets"),
    **_said("write a step with `run` before it, or `requires` for programs", "preconditions"),
    "question": Word("steps that ask a person are not part of the language yet", "type"),
}
"""For steps. A word that is a field of a type is one only where the step is of another type."""

TYPE_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("bash", "sh", "script", "command", "cmd", "exec", "run"), "shell"),
    **dict.fromkeys(("function", "action", "py", "call"), "python"),
    **dict.fromkeys(("llm", "prompt", "ai"), "agent"),
    **dict.fromkeys(("generator",), "generate"),
    **dict.fromkeys(("foreach", "for_each", "for", "while", "map", "until", "block"), "loop"),
    **dict.fromkeys(("if", "switch", "choice", "condition", "case"), "branch"),
    **dict.fromkeys(("workflow", "sub_workflow", "sub-workflow"), "subworkflow"),
    **dict.fromkeys(("test", "check", "validation"), "validate"),
    **dict.fromkeys(("save", "savepoint"), "checkpoint"),
}
"""What other systems call the types of steps."""

_SHARED = (
    "`env` belongs to a step with `run`; what steps share are `inputs`, or what a step gives "
    "(`${{ steps.NAME.output }}`)"
)
_OF_A_STEP = "it belongs to a step"
_STARTED = "a run is started by `maverick run`, also from cron or CI; remove it"
_TOP = "the file itself is the workflow: `name`, `inputs` and `steps` stand at its top"

WORKFLOW_WORDS: Final[Words] = {
    **_same("steps", "tasks", "jobs", "pipeline", "blocks"),
    **_like("steps", "write `steps`, in the order in which they run", "stages"),
    **_like("steps", _TOP, "spec", "apiVersion", "kind", "templates", "dag", "workflow", "plays"),
    **_said(_STARTED, "on", "triggers", "trigger", "schedule", "cron"),
    **_said(_SHARED, "env", "environment", "variables", "vars", "dotenv", "defaults"),
    **_same("inputs", "params", "parameters", "arguments", "args"),
    **_same("name", "id", "dag_id"),
    **_same("description", "desc", "summary", "about", "title", "run-name"),
    **_said(_HERE, "runs-on", "hosts", "permissions", "default_args"),
    **_said(_CONTAINER, "image", "services", "container", "volumes", "networks"),
    **_said(_LOOP, "strategy", "matrix"),
    **_said(_OF_A_STEP, "timeout", "timeout-minutes", "retry", "when", "if", "requires", "cwd"),
    **_said(_OF_A_STEP, "run", "continue_on_error", "rollback", "artifacts", "shell"),
    **_said(f"{_OF_A_STEP} with `steps`", "parallel", "concurrency", "max_concurrency"),
    **_said(
        "a step with `workflow` calls another workflow, by its name or its file",
        "include",
        "includes",
        "imports",
        "extends",
    ),
    **_said("it stands in maverick.yaml", "agents", "actions", "validation", "github"),
    **_said(
        "name the variables under `secrets` in maverick.yaml; a step reads `${{ env.NAME }}`",
        "secrets",
    ),
}
"""For what stands beside `steps`."""

INPUT_WORDS: Final[Words] = {
    **_same("choices", "options", "enum", "values", "allowed", "one_of", "oneOf"),
    **_same("default", "value"),
    **_same("description", "desc", "help", "summary", "title", "doc"),
    **_like("required", "write `required: false`, or give a `default`", "optional", "nullable"),
    **_said(
        "values are checked by `type` and `choices`; check more in a first step",
        *("pattern", "minimum", "maximum", "min", "max", "format", "minLength", "maxLength"),
    ),
}
"""For the inputs of a workflow."""

INPUT_TYPE_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("str", "text", "choice", "enum", "path", "file"), "string"),
    **dict.fromkeys(("int",), "integer"),
    **dict.fromkeys(("double", "decimal"), "float"),
    **dict.fromkeys(("bool", "flag"), "boolean"),
    **dict.fromkeys(("list", "sequence", "tuple", "set"), "array"),
    **dict.fromkeys(("dict", "map", "mapping", "json"), "object"),
}
"""What other systems call the types of inputs."""
