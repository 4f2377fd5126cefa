"""The program `maverick`."""

import gc
import sys

_OBJECTS = 50_000
"""How many come to be before the collector of cycles looks for any. Loading makes many times its usual 700."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:  # Answered without loading anything else.
        from maverick import __version__  # noqa: PLC0415

        print(f"maverick {__version__}")  # noqa: T201
        return
    gc.set_threshold(_OBJECTS)
    try:
        from maverick.cli.app import program  # noqa: PLC0415

        program()
    except KeyboardInterrupt:  # Before or after the command itself, which handles it.
        sys.exit(130)


if __name__ == "__main__":
    main()
