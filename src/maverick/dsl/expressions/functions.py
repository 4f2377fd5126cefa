"""The functions of the expression language: `FUNCTIONS` is the whole list, with one line of help
for each.

All fail with `ExpressionFailed`; what scans or builds a large value pays for it from the
evaluation's `Work`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from maverick.dsl.expressions import functions_data, functions_text
from maverick.dsl.expressions.operators import ENTRY_SEEN

if TYPE_CHECKING:
    from maverick.dsl.expressions.arguments import Context


class Function(NamedTuple):
    """One function: `most` None means any number of arguments; `volatile` ones read the project's
    files.
    """

    name: str
    call: Callable[..., object]
    least: int
    most: int | None
    help: str
    volatile: bool = False

    def refusal(self, given: int) -> str:
        """Why it cannot take *given* arguments, or an empty text."""
        if given >= self.least and (self.most is None or given <= self.most):
            return ""
        if self.most is None:
            wanted = f"at least {self.least}"
        elif self.least == self.most:
            wanted = str(self.least)
        else:
            wanted = f"{self.least} to {self.most}"
        plural = "" if wanted.endswith("1") else "s"
        return f"{self.name}() takes {wanted} argument{plural}, {given} given"


# The function, how many arguments it takes at least, and at most (None: any number).
_ROWS: tuple[tuple[Callable[..., object], int, int | None], ...] = (
    (functions_data.len_, 1, 1),
    (functions_text.str_, 1, 1),
    (functions_data.int_, 1, 1),
    (functions_data.float_, 1, 1),
    (functions_data.bool_, 1, 1),
    (functions_text.json_, 1, 1),
    (functions_text.to_json_, 1, 1),
    (functions_text.join_, 2, 2),
    (functions_text.split_, 1, 2),
    (functions_text.lower_, 1, 1),
    (functions_text.upper_, 1, 1),
    (functions_text.strip_, 1, 2),
    (functions_text.replace_, 3, 3),
    (functions_text.startswith_, 2, 2),
    (functions_text.endswith_, 2, 2),
    (functions_data.contains_, 2, 2),
    (functions_data.keys_, 1, 1),
    (functions_data.values_, 1, 1),
    (functions_data.range_, 1, 3),
    (functions_data.min_, 1, None),
    (functions_data.max_, 1, None),
    (functions_data.sum_, 1, 1),
    (functions_data.any_, 1, 1),
    (functions_data.all_, 1, 1),
    (functions_data.default_, 2, 2),
    (functions_text.format_, 1, None),
    (functions_text.quote_, 1, 1),
    (functions_text.basename_, 1, 1),
    (functions_text.dirname_, 1, 1),
    (functions_data.glob_, 1, 1),
    (functions_data.exists_, 1, 1),
    (functions_text.hash_, 1, 1),
)
_VOLATILE = frozenset({"glob", "exists"})
_FREE = frozenset({"len", "default"})


def _function(call: Callable[..., object], least: int, most: int | None) -> Function:
    name = call.__name__.removesuffix("_")
    return Function(name, call, least, most, call.__doc__ or "", volatile=name in _VOLATILE)


FUNCTIONS: Mapping[str, Function] = {
    function.name: function for function in (_function(*row) for row in _ROWS)
}
"""Every function that an expression can call, by its name. The help of each is its docstring."""


def call(function: Function, arguments: list[object], context: Context) -> object:
    """Call *function*, paying for a look at each argument."""
    if function.name not in _FREE:
        for argument in arguments:
            if isinstance(argument, (str, bytes)):
                context.work.spend(len(argument))
            elif isinstance(argument, (list, Mapping)):
                context.work.spend(ENTRY_SEEN * len(argument))
    return function.call(context, *arguments)
