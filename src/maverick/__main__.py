"""The program `maverick`."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:  # Answered without loading anything else.
        from maverick import __version__  # noqa: PLC0415

        print(f"maverick {__version__}")  # noqa: T201
        return
    try:
        from maverick.cli.app import program  # noqa: PLC0415

        program()
    except KeyboardInterrupt:  # Before or after the command itself, which handles it.
        sys.exit(130)


if __name__ == "__main__":
    main()
