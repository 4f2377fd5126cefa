"""What a workflow can name here beside other workflows: actions, agents, context builders."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.catalog.actions import load_action
from maverick.errors import StepFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from maverick.dsl.catalog.catalog import Catalog

_BUILT_IN = "built in"


class Offered(NamedTuple):
    """Something that can be named. `signature` is how it is called; `about` the first line of what
    it says of itself. Where it cannot be loaded, `about` says why.
    """

    name: str
    source: str
    reference: str
    signature: str
    about: str


class OfferedAgent(NamedTuple):
    """An agent: the program that plays it, its model, and the first line of its instructions."""

    name: str
    source: str
    provider: str
    model: str
    about: str


def actions(catalog: Catalog, tell: Callable[[str], None]) -> list[Offered]:
    """Every action that has a plain name; imports the modules of maverick.yaml.

    *tell* hears of a module that cannot be imported.
    """
    shipped = catalog.builtins.actions
    found = {name: (_BUILT_IN, reference) for name, reference in shipped.items()}
    for module in catalog.config.actions:
        try:
            names = catalog.actions_of(module)
        except StepFailed as error:
            tell(str(error))
            continue
        for name, reference in names.items():
            if name not in shipped:
                found[name] = (module, reference)
    return [_offered(name, *found[name]) for name in sorted(found)]


def contexts(catalog: Catalog) -> list[Offered]:
    """Every context builder."""
    builders = catalog.builtins.contexts
    return [_offered(name, _BUILT_IN, builders[name]) for name in sorted(builders)]


def agents(catalog: Catalog) -> list[OfferedAgent]:
    """Every agent and generator that ships or is configured, and `default` if that is."""
    return [_agent(catalog, name) for name in sorted({*_agent_names(catalog)})]


def _agent_names(catalog: Catalog) -> Iterator[str]:
    yield from catalog.agent_names()
    yield from catalog.builtins.generators
    if "default" in catalog.config.agents:
        yield "default"


def _agent(catalog: Catalog, name: str) -> OfferedAgent:
    is_generator = name in catalog.builtins.generators
    config = catalog.generator(name).config if is_generator else catalog.agent(name)
    shipped: Mapping[str, object] = {**catalog.builtins.agents, **catalog.builtins.generators}
    own = f".maverick/agents/{name}.md"
    if name in catalog.config.agents:
        source = "maverick.yaml"
    elif (catalog.root / own).is_file():
        source = own
    else:
        source = _BUILT_IN if name in shipped else "maverick.yaml"
    try:
        about = _first_line(catalog.instructions(name))
    except StepFailed as error:
        about = str(error)
    if config is None:
        return OfferedAgent(name, source, "none", "", about)
    return OfferedAgent(name, source, config.provider, config.model, about)


def _offered(name: str, source: str, reference: str) -> Offered:
    try:
        function = load_action(reference).function
    except StepFailed as error:
        return Offered(name, source, reference, "", str(error))
    about = _first_line(inspect.getdoc(function) or "")
    return Offered(name, source, reference, signature_of(function), about)


def signature_of(function: Callable[..., object]) -> str:
    """Give how *function* is called: `(message: str, *, push: bool = False) -> str`."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # Some functions written in C have none.
        return "(…)"
    parameters = [
        each.replace(annotation=_bare(each.annotation)) for each in signature.parameters.values()
    ]
    return str(
        signature.replace(
            parameters=parameters, return_annotation=_bare(signature.return_annotation)
        )
    )


class _Bare(str):
    """An annotation as it is written, which is shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _bare(annotation: object) -> object:
    return _Bare(annotation) if isinstance(annotation, str) else annotation


def _first_line(text: str) -> str:
    """The first sentence or paragraph of *text*, as one line."""
    return " ".join(text.strip().partition("\n\n")[0].split())
