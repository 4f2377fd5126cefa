"""A program that the project brings itself: its standard output, as a whole, is the answer."""

from __future__ import annotations

from typing import Final

from maverick.dsl.agents.provider import Provider

PROVIDER: Final = Provider(name="command")
