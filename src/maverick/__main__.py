"""The program `maverick`."""

import gc
import os
import sys

_OBJECTS = 50_000
"""How many objects make the collector of cycles look. Loading makes many times the usual 700."""

_AT_ONCE = {
    ("runs",),
    ("runs", "--json"),
    ("checkpoint", "list"),
    ("checkpoint", "list", "--json"),
    ("show",),
    ("show", "--json"),
}
"""What is answered without typer."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:  # Answered without loading anything else.
        from maverick import __version__  # noqa: PLC0415

        print(f"maverick {__version__}")  # noqa: T201
        return
    _leave_project_last()
    gc.set_threshold(_OBJECTS)
    try:
        if "_MAVERICK_COMPLETE" in os.environ:  # A shell asks, while a person waits for it.
            from maverick.cli.completion.offers import answer  # noqa: PLC0415

            answer(os.environ["_MAVERICK_COMPLETE"], sys.argv[1:])
            return
        if tuple(sys.argv[1:]) in _AT_ONCE:
            from maverick.cli.looking.at_once import answer_at_once  # noqa: PLC0415

            answer_at_once(sys.argv[1:])
        from maverick.cli.app import program  # noqa: PLC0415

        program()
    except KeyboardInterrupt:  # Before or after the command itself, which handles it.
        sys.exit(130)
    finally:
        # Python's end looks through all objects for cycles, twice, which takes longer than `runs`
        # itself. Nothing is left that waits to be found so: files are closed where they are used.
        gc.freeze()


def _leave_project_last() -> None:
    """Import from the current folder only what is nowhere else.

    `python -m maverick` puts it first, as PYTHONPATH may: a `random.py` of the project would be
    taken for Python's.
    """
    try:
        here: tuple[str, ...] = ("", os.getcwd())  # noqa: PTH109 - pathlib itself may be imported from the project yet
    except OSError:  # It is gone, or may not be read.
        here = ("",)
    first = [entry for entry in sys.path if entry not in here]
    sys.path[:] = [*first, *(entry for entry in sys.path if entry in here)]


if __name__ == "__main__":
    main()
