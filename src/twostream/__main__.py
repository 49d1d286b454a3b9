"""``twostream`` and ``python -m twostream``: errors become one sentence and an exit status."""

from __future__ import annotations

import errno
import sys


def main() -> None:
    """Run the command line; exit status 0 done, 1 failed, 2 wrong usage, 130 stopped."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    import click

    from twostream.cli import app
    from twostream.types import TwoStreamError

    try:
        status = app(arguments, prog_name="twostream", standalone_mode=False)
        return int(status or 0)
    except TwoStreamError as error:
        return _say(str(error), error.exit_status)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _say(
            "stopped; what is finished is kept, the same command with --resume goes on", 130
        )
    except BrokenPipeError:
        sys.stderr.close()  # the reader went away, as in `| head`
        return 0
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            name = error.filename or "the disk"
            return _say(f"no space left for {name}: free some; what is finished is kept", 1)
        if isinstance(error, PermissionError):
            return _say(f"{error.filename}: permission denied: choose another place", 1)
        raise


def _say(message: str, status: int) -> int:
    print(f"twostream: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
