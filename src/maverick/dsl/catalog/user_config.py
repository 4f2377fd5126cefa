"""`config.yaml` in the user's own folder: what one user decides for all projects."""

from __future__ import annotations

import os
from typing import NamedTuple

from maverick.dsl.catalog.config import says_anything
from maverick.dsl.serialization.fields import Fields
from maverick.dsl.serialization.problems import Problems, describe, with_excerpts
from maverick.dsl.serialization.yaml_nodes import MappingNode, ScalarNode, SequenceNode, compose
from maverick.errors import WorkflowInvalid

FILE_NAME = "config.yaml"


class UserConfig(NamedTuple):
    """`trust`: absolute paths; what is at and below them is taken, whoever owns it."""

    trust: tuple[str, ...] = ()


def parse_user_config(text: str, file: str, home: str | None) -> UserConfig:
    """Read the user's configuration; `~` is *home*. Raises WorkflowInvalid with every problem."""
    if not says_anything(text):
        return UserConfig()
    node, syntax = compose(text, file)
    problems = Problems(file, text)
    problems.errors += syntax
    trust: tuple[str, ...] = ()
    if isinstance(node, MappingNode):
        fields = Fields(problems, node, f"the user's {FILE_NAME}", fixed=True)
        trust = _paths(fields, home)
        fields.refuse_others()
    elif node is not None:
        problems.add(node, f"{FILE_NAME} must be a mapping, not {describe(node)}")
    if problems.errors:
        raise WorkflowInvalid(with_excerpts(problems.errors, {file: text}))
    return UserConfig(trust)


def _paths(fields: Fields, home: str | None) -> tuple[str, ...]:
    node = fields.optional("trust")
    if node is None:
        return ()
    paths: list[str] = []
    for item in node.items if isinstance(node, SequenceNode) else (node,):
        written = item.value if isinstance(item, ScalarNode) else None
        path = _expanded(written, home) if isinstance(written, str) else ""
        if os.path.isabs(path):  # noqa: PTH117 - a text
            paths.append(path)
        else:
            wanted = "paths that begin with / or ~, of a home that there is"
            fields.problems.add(item, f"`trust` must be a list of {wanted}, not {describe(item)}")
    return tuple(paths)


def _expanded(path: str, home: str | None) -> str:
    if path == "~" or path.startswith("~/"):
        return f"{home}{path[1:]}" if home else ""
    return os.path.expanduser(path)  # noqa: PTH111 - one that names nobody stays as it is
