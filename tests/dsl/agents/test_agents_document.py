"""`docs/agents.md` names everything that can be configured and everything that a program is
given.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from maverick import library
from maverick.dsl.agents.provider import Provider, load_provider
from maverick.dsl.catalog.config import provider_names

PROVIDERS = [load_provider(name) for name in provider_names()]
TEXT = (Path(__file__).parents[3] / "docs" / "agents.md").read_text("utf-8")


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_every_provider_is_described_with_all_its_options(provider: Provider) -> None:
    names = [provider.name, *(setting.option for setting in provider.settings)]
    packages = [provider.package] if provider.package else []

    missing = [name for name in names if f"`{name}`" not in TEXT] + [
        name for name in packages if name not in TEXT
    ]
    assert [] == missing


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_what_an_unattended_program_may_do_is_described(provider: Provider) -> None:
    decided = [
        value
        for setting in provider.settings
        for value in (setting.default, setting.asking)
        if value
    ]

    assert [] == [value for value in decided if f"`{value}`" not in TEXT]


def test_every_generator_and_context_builder_is_described() -> None:
    names = [*library.GENERATORS, *library.CONTEXT_BUILDERS]

    assert [] == [name for name in names if f"`{name}`" not in TEXT]
