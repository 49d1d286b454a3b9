"""``twostream`` and ``python -m twostream``: errors become one sentence and an exit status."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any

from twostream import stopping
from twostream.terminal import printable

# that a write may meet, which does not say where
_OF_DISKS = (errno.EIO, errno.EROFS, errno.ENXIO, errno.ESTALE)


def main() -> None:
    """Run the command line.

    Exit status 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C, 143 by SIGTERM.
    """
    stopping.listen()
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # names of files may be no text: shown escaped, which JSON reads back as they are
            sys.stdout.reconfigure(errors="backslashreplace")
        status = run(sys.argv[1:])
    except KeyboardInterrupt:  # another one, while the first was answered
        status = stopping.exit_status()
    stopping.settled(status)
    if stopping.asked_for():
        stopping.leave(status)
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    try:
        status = _command(arguments)
        sys.stdout.flush()  # now, where it can still be answered that nobody reads it
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        return _unread()
    except Exception:
        if not stopping.asked_for():
            raise
        status = 130  # a process that the same signal ended, say
    except SystemExit as error:  # what typer and rich make of it
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        return _unread()
    if status == 130:
        hint = " (with --resume)" if arguments[:1] in (["train"], ["pretrain"]) else ""
        ends = arguments[:1] == ["predict"] and not _has(arguments, "--out")
        goes_on = "" if ends else f", the same command goes on{hint}"
        return _say(f"stopped; what is finished is kept{goes_on}", stopping.exit_status())
    return status


def _has(arguments: list[str], option: str) -> bool:
    return any(each.partition("=")[0] == option for each in arguments)


def _command(arguments: list[str]) -> int:
    """Run one command; raises what is no failure of it."""
    import typer

    from twostream.cli import app
    from twostream.threads import keep_to_share, wait_asleep
    from twostream.types import TwoStreamError

    wait_asleep()
    keep_to_share()

    # typer's base of wrong usage: its own copy of click in new versions, click's in older ones
    wrong_usage: Any = next(
        base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
    )
    try:
        status = int(app(arguments, prog_name="twostream", standalone_mode=False) or 0)
    except TwoStreamError as error:
        return _say(str(error), error.exit_status)
    except wrong_usage as error:
        error.show()
        return int(error.exit_code)
    except typer.Abort:
        return 130
    except BrokenPipeError:
        raise
    except OSError as error:
        name = os.fsdecode(error.filename2 or error.filename or "the disk")  # some name it in bytes
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _say(f"no space left for {name}: free some; what is finished is kept", 1)
        if error.filename is None and error.errno not in _OF_DISKS:  # not about a file: a defect
            raise
        reason = (error.strerror or type(error).__name__).lower()
        return _say(f"{name}: {reason}: check it, or choose another place", 1)
    return status


def _unread() -> int:
    """End in order where the reader of the results went away, as in ``| head``."""
    with suppress(OSError, ValueError, AttributeError):
        # what still waits to be written goes nowhere, instead of failing at the very end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
    return 0


def _say(message: str, status: int) -> int:
    with suppress(BrokenPipeError):
        print(printable(f"twostream: {message}"), file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
