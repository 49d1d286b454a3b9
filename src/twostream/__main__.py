"""``twostream`` and ``python -m twostream``: errors become one sentence and an exit status."""

from __future__ import annotations

import errno
import io
import sys
from typing import Any


def main() -> None:
    """Run the command line; exit status 0 done, 1 failed, 2 wrong usage, 130 stopped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # names of files may be no text: shown escaped, which JSON reads back as they are
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    import typer

    from twostream.cli import app
    from twostream.threads import wait_asleep
    from twostream.types import TwoStreamError

    wait_asleep()

    # typer's base of wrong usage: its own copy of click in new versions, click's in older ones
    wrong_usage: Any = next(
        base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
    )
    try:
        status = app(arguments, prog_name="twostream", standalone_mode=False)
    except TwoStreamError as error:
        return _say(str(error), error.exit_status)
    except wrong_usage as error:
        error.show()
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away, as in `| head`
        return 0
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            name = error.filename or "the disk"
            return _say(f"no space left for {name}: free some; what is finished is kept", 1)
        if error.filename is None:  # not about a file: a defect
            raise
        reason = (error.strerror or type(error).__name__).lower()
        return _say(
            f"{error.filename2 or error.filename}: {reason}: check it, or choose another place", 1
        )
    if status == 130:
        hint = " (with --resume)" if arguments[:1] in (["train"], ["pretrain"]) else ""
        goes_on = "" if arguments[:1] == ["predict"] else f", the same command goes on{hint}"
        return _say(f"stopped; what is finished is kept{goes_on}", 130)
    return int(status or 0)


def _say(message: str, status: int) -> int:
    from twostream.cli.console import printable

    print(printable(f"twostream: {message}"), file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
