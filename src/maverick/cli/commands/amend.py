"""`checkpoint tag`, `drop`, `fork`, `undo`: what people change of runs, and take back."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from maverick.cli.commands.files import Yes
from maverick.cli.entry import AsJson
from maverick.cli.here import has_consent, this_project
from maverick.cli.terminal.render import age, json_text, now_ms, plural
from maverick.cli.terminal.streams import print_err, print_out
from maverick.errors import RunOwned

if TYPE_CHECKING:
    from maverick.checkpoints import Checkpoint


def tag(
    revision: Annotated[str, typer.Argument(metavar="REV", help="A revision.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The tag.")],
    *,
    delete: Annotated[
        bool, typer.Option("--delete", help="Take the tag away from the run of REV.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Give a checkpoint a name that stays.

    RUN@NAME is the checkpoint then, and gc keeps it. A tag that the run has already is moved.

    Examples:
      maverick checkpoint tag @latest before-review
      maverick checkpoint tag @latest before-review --delete
    """
    from maverick.checkpoints import byhand  # noqa: PLC0415 - light commands do without

    store = this_project().open_store()
    at = store.resolve(revision)
    byhand.tag(store, at.run, name, None if delete else at)
    if as_json:
        print_out(
            json_text({"run": at.run, "tag": name, "checkpoint": None if delete else at.id}) + "\n"
        )
    else:
        print_err(
            f"removed the tag {name} of {at.run}"
            if delete
            else f"{at.run}@{name} is checkpoint {at.id[:12]}"
        )


def drop(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs.")],
    *,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Forget runs, also those that could be resumed.

    What only they led to is removed by the next `maverick checkpoint gc`; until then `maverick
    checkpoint undo` brings them back, one after the other. On a terminal it asks first; elsewhere
    it needs --yes.

    Examples:
      maverick checkpoint drop fly-20261123-101502-k3x9
      maverick checkpoint drop fly-20261123-101502-k3x9 fly-20261123-104110-b7wq --yes
    """
    from maverick.checkpoints import byhand  # noqa: PLC0415

    store = this_project().open_store()
    names = list(dict.fromkeys(runs))
    for run in names:
        store.ref(run)
        if store.is_owned(run):
            raise RunOwned(f"run {run} is being executed; stop it first. Nothing was dropped")
    if not has_consent(f"Drop {plural(len(names), 'run')} ({', '.join(names)})?", yes=yes):
        print_err("nothing was dropped")
        return
    for run in names:
        byhand.drop(store, run)
        if not as_json:
            print_err(f"dropped {run}")
    if as_json:
        print_out(json_text({"dropped": names}) + "\n")


def fork(
    revision: Annotated[str, typer.Argument(metavar="REV", help="A revision.")],
    as_run: Annotated[
        str, typer.Option("--as", metavar="RUN", help="The new run's name.", show_default=False)
    ] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Begin a new run at a checkpoint; nothing is copied and nothing runs.

    Prints the new run, and the command that goes on with it. The run of REV stays as it is.

    Examples:
      maverick checkpoint fork @latest~3
      maverick checkpoint fork fly@validation_complete --as second-try
    """
    from maverick.runs import amend  # noqa: PLC0415 - loads the engine's records

    store = this_project().open_store()
    report(amend.fork(store, store.resolve(revision), as_run), as_json=as_json)


def undo(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="Of this run only.", show_default=False)
    ] = "",
    *,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take back the last change that was made by hand: edit, fork, tag, drop, restore.

    What steps saved is never taken back: a run that has gone on since stays as it is, and that is
    said. Given again, it takes back the change before that one. On a terminal it asks first;
    elsewhere it needs --yes.

    Examples:
      maverick checkpoint undo
      maverick checkpoint undo fly-20261123-101502-k3x9 --yes
    """
    from maverick.checkpoints import byhand  # noqa: PLC0415

    store = this_project().open_store()
    change = byhand.newest(store, run)
    what = f"{change.run}: {change.reason}, {age(change.created, now_ms())} ago"
    if not has_consent(f"Take back {what}?", yes=yes):
        print_err("nothing was taken back")
        return
    if change.action == "restore":
        from maverick.runs import workspace_choice  # noqa: PLC0415

        said = workspace_choice.undo_restore(store, this_project().root, change)
    else:
        said = byhand.undo(store, change)
    if as_json:
        print_out(
            json_text({"run": change.run, "action": change.action, "undone": change.reason}) + "\n"
        )
    else:
        print_err(f"took back {what}; {said}")


def report(at: "Checkpoint", *, as_json: bool) -> None:
    """Print a run that waits to be resumed, and the command that does so."""
    resume = shlex.join(["maverick", "run", f"--resume={at.run}"])
    if as_json:
        print_out(json_text({"run": at.run, "checkpoint": at.id, "resume": resume}) + "\n")
    else:
        print_out(f"{at.run}\n{resume}\n")
