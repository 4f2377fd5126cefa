"""A coding agent without a model: does the tasks whose files it knows, and corrects the one mistake
it makes.

The prompt comes on standard input. `MAVERICK_AGENT` names the part to play, `MAVERICK_CONTEXT` a
JSON file with what the step hands over. What is printed is the answer.
"""

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

FILES = {
    "temperature.py": "def to_fahrenheit(celsius):\n    return celsius * 9 / 5 + 32\n",
    "test_temperature.py": (
        "import unittest\n\nfrom temperature import to_fahrenheit\n\n\n"
        "class Water(unittest.TestCase):\n"
        "    def test_freezes(self):\n        self.assertEqual(32, to_fahrenheit(0))\n\n"
        "    def test_boils(self):\n        self.assertEqual(212, to_fahrenheit(100))\n"
    ),
    # The mistake.
    "backwards.py": "def to_celsius(fahrenheit):\n    return fahrenheit - 32 * 5 / 9\n",
    "test_backwards.py": (
        "import unittest\n"
        "\n"
        "from backwards import to_celsius\n"
        "from temperature import to_fahrenheit\n"
        "\n"
        "\n"
        "class ThereAndBack(unittest.TestCase):\n"
        "    def test_is_the_same(self):\n"
        "        self.assertAlmostEqual(37, to_celsius(to_fahrenheit(37)))\n"
    ),
    "USAGE.md": "`temperature.to_fahrenheit(37)` gives 98.6, `backwards.to_celsius(98.6)` gives "
    "37.\n",
}
CORRECTED = {"backwards.py": "def to_celsius(fahrenheit):\n    return (fahrenheit - 32) * 5 / 9\n"}


def implement(context: dict[str, Any]) -> str:
    """Write the files that the phase's open tasks name, and tick the tasks."""
    task_file = Path(context["task_file"])
    text = task_file.read_text(encoding="utf-8")
    written = []
    for task in re.findall(r"^- \[ \] (.*)$", context["phase"], re.MULTILINE):
        name = re.search(r"`([\w.]+)`", task)
        if not name or name[1] not in FILES:
            continue
        Path(name[1]).write_text(FILES[name[1]], encoding="utf-8")
        hold_after(name[1])
        text = text.replace(f"- [ ] {task}", f"- [x] {task}")
        written.append(name[1])
    task_file.write_text(text, encoding="utf-8")
    return f"Wrote {', '.join(written)}." if written else "There was nothing to do that I know."


def hold_after(file: str) -> None:
    """For those who want to interrupt: with `SCRIPTED_AGENT_HOLD=FILE:MARK`, make MARK and wait
    after writing FILE.
    """
    held, _, mark = os.environ.get("SCRIPTED_AGENT_HOLD", "").partition(":")
    if file == held:
        Path(mark).touch()
        time.sleep(600)


def fix(context: dict[str, Any]) -> str:
    """Correct the files that this program got wrong."""
    for name, text in CORRECTED.items():
        Path(name).write_text(text, encoding="utf-8")
    return f"Stage {context['failed_stage']['name']} failed; corrected {', '.join(CORRECTED)}."


def main() -> None:
    """Play the part that the environment names."""
    prompt = sys.stdin.read()
    context = json.loads(Path(os.environ["MAVERICK_CONTEXT"]).read_text(encoding="utf-8"))
    print(f"(I was given {len(prompt.split())} words.)", file=sys.stderr)
    if log := os.environ.get("SCRIPTED_AGENT_LOG"):
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(
                f"{os.environ['MAVERICK_AGENT']}: {context.get('phase', '').splitlines()[:1]}\n"
            )
    print(
        fix(context) if os.environ["MAVERICK_AGENT"] == "validation_fixer" else implement(context)
    )


if __name__ == "__main__":
    main()
