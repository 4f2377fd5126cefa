"""What a shell loads so that it completes this program, and where it goes."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maverick.errors import MaverickError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_BASH: Final = r"""# Completion of maverick for bash; made by `maverick --show-completion bash`.
_maverick_completion() {
  local line kind= word=${COMP_WORDS[COMP_CWORD]}
  [ "$word" = "=" ] && word=
  COMPREPLY=()
  while IFS= read -r line; do
    if [ -z "$kind" ]; then kind=$line; else COMPREPLY+=("$line"); fi
  done < <(_MAVERICK_COMPLETE=bash COMP_LINE=$COMP_LINE COMP_POINT=$COMP_POINT \
    COMP_WORDBREAKS=$COMP_WORDBREAKS "${1/#\~/$HOME}" 2> /dev/null)
  case $kind in
    files | folders)
      local how=-f
      [ "$kind" = folders ] && how=-d
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen $how -- "$word")
      compopt -o filenames 2> /dev/null ;;
    more) compopt -o nospace 2> /dev/null ;;
  esac
}
complete -o nosort -F _maverick_completion maverick 2> /dev/null ||
  complete -F _maverick_completion maverick
"""
_ZSH: Final = r"""#compdef maverick
# Completion of maverick for zsh; made by `maverick --show-completion zsh`.
_maverick() {
  local kind
  local -a lines
  lines=("${(@f)$(_MAVERICK_COMPLETE=zsh "${(Q)words[1]}" "${(@Q)words[1,CURRENT-1]}" \
    "${(Q)PREFIX}" 2> /dev/null)}")
  kind=$lines[1]
  shift lines
  case $kind in
    files) _files ;;
    folders) _files -/ ;;
    more) _describe -V -t words 'maverick' lines -S '' ;;
    *) (( $#lines )) && _describe -V -t words 'maverick' lines ;;
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _maverick "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
  compdef _maverick maverick
fi
"""
_FISH: Final = r"""# Completion of maverick for fish; made by `maverick --show-completion fish`.
function __maverick_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    test (count $word) -eq 0; and set word ''
    set -l lines (env _MAVERICK_COMPLETE=fish $words[1] $words $word 2> /dev/null)
    switch "$lines[1]"
        case files
            __fish_complete_path $word
        case folders
            __fish_complete_directories $word
        case '*'
            test (count $lines) -gt 1; and printf '%s\n' $lines[2..-1]
    end
end
complete -c maverick -k -f -a '(__maverick_complete)'
"""
SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_MARK: Final = "# completion of maverick"


def shell_of(name: str, environment: Mapping[str, str]) -> str:
    """Give the shell called *name*; without a name, the person's own.

    Raises:
        UsageError: it is none of those that are known.
    """
    shell = name or os.path.basename(environment.get("SHELL", ""))  # noqa: PTH119 - a name
    if shell not in SCRIPTS:
        known = ", ".join(SCRIPTS)
        what = f"there is no completion for {shell!r}" if shell else "SHELL does not name a shell"
        raise UsageError(f"{what}; name one of {known}")
    return shell


def script(shell: str) -> str:
    """Give what *shell* loads."""
    return SCRIPTS[shell]


def install(shell: str, environment: Mapping[str, str]) -> list[str]:
    """Write what *shell* loads, and have it loaded by each new one; say what was done.

    A second time replaces the first.

    Raises:
        UsageError: there is no home.
        MaverickError: a file cannot be written.
    """
    if not environment.get("HOME"):
        raise UsageError("HOME is not set, so there is no place for the completion")
    home = Path(environment["HOME"])
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "maverick"
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    places = {
        "bash": (data / "completion.bash", home / ".bashrc"),
        "zsh": (data / "completion.zsh", Path(environment.get("ZDOTDIR") or home) / ".zshrc"),
        "fish": (config / "fish" / "completions" / "maverick.fish", None),
    }
    path, loader = places[shell]
    done = [f"wrote {path}"]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script(shell), "utf-8")
        line = f". {shlex.quote(str(path))}  {_MARK}"
        if loader is not None and _add_line(loader, line):
            done.append(f"added a line to {loader}")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        where = getattr(error, "filename", None) or loader
        raise MaverickError(f"cannot install the completion: {where}: {why}") from error
    return [*done, f"open a new {shell} to use it"]


def _add_line(path: Path, line: str) -> bool:
    """Add *line* to the file unless it is there; what else stands there stays as it is."""
    text = path.read_text("utf-8") if path.exists() else ""
    if line in text.splitlines():
        return False
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if text and not text.endswith("\n") else "") + line + "\n")
    return True
