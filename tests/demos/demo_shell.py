"""What the pages show to be run elsewhere, run."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from demos.sharing import Elsewhere


def answers(wanted: Elsewhere, folder: Path) -> tuple[list[Any], list[Any]]:
    """What the shown Python and the shown command print: their lines that are JSON objects."""
    python = shlex.quote(sys.executable)
    for name, what in (("triptych", f'{python} -c "from shared.cli.main import main; main()"'), ("python", python)):
        (folder / name).write_text(f'#!/bin/sh\nexec {what} "$@"\n')
        (folder / name).chmod(0o755)
    (folder / "shown.py").write_text(wanted.python, "utf-8")
    script = f"{python} shown.py && echo ==== && {{\n{wanted.command}\n}}"
    ran = subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    shown, commanded = (
        [json.loads(line) for line in told.splitlines() if line.startswith("{")] for told in ran.stdout.split("====\n")
    )
    return shown, commanded
