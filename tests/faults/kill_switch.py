"""Kill a switch to new results before every STEPth call that changes the disk.

``kill_switch.py PREPARED WORK FIRST STEP``: PREPARED is a folder whose new results wait in
``.next``, with their embeddings. Prints how many kills there were, and of these how many left the
old results.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from s2s_map.outputs.disk_switch import switch
from s2s_map.outputs.output import open_output

# What Python tells of before it does it; os.replace tells as os.rename.
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree", "os.truncate"}


def killed_at(nth: int, out: Path) -> bool:
    """Switch in a process that is killed at its nth change; whether it was."""
    with warnings.catch_warnings():
        # Of threads that libraries keep: none of them is at work.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        count = 0

        def hook(event: str, _: tuple[Any, ...]) -> None:
            nonlocal count
            if event not in CHANGES:
                return
            count += 1
            if count == nth:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            switch(out, out / ".next" / "results", out / ".next")
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), f"the switch failed: {code}"
    return code != 0


def seen(out: Path) -> dict[str, bytes]:
    """Everything that is not hidden."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.relative_to(out).parts[0].startswith(".")
    }


def main(prepared: Path, work: Path, first: int, step: int) -> None:
    """See the module."""
    out, old = work / "out", seen(prepared)
    shutil.copytree(prepared, out)
    assert not killed_at(0, out)
    new, kills, olds = seen(out), 0, 0
    for nth in itertools.count(first, step):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(prepared, out)
        if not killed_at(nth, out):
            break
        kills += 1
        begun = (out / ".switch.json").exists() or seen(out) == new
        if not begun:
            assert seen(out) == old, f"kill {nth} left a mixture"
            olds += 1
            # The same command goes on with what waits.
            switch(out, out / ".next" / "results", out / ".next")
        else:
            # As any reader does first.
            open_output(out).check_access()
        assert seen(out) == new, f"kill {nth} did not end in the new results"
        assert not (out / ".switch.json").exists()
        assert not (out / ".next" / "embeddings.zarr").exists()
    assert seen(out) == new
    sys.stdout.write(f"{kills} {olds}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
