"""Videos over which a process ended without a word: killed, out of memory, a crash in a decoder."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twostream import files
from twostream.schema import parse_json
from twostream.types import VideoError

logger = logging.getLogger(__name__)

DEATHS = 2  # over a video, after which it is left out


class FatalVideos:
    """Keeps a video that ends every process from keeping all others from being done.

    A video is written down before its turn and crossed out after it, whatever Python can answer to.
    What is left was fatal: the next process takes it last, and after ``DEATHS`` leaves it out.

    Args:
        path: the file, fingerprint -> how often; it is there while a video stands in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._times = _read(path)

    def take_over(self, others: Iterable[Path]) -> None:
        """Take over what stands in such files of other processes, which have ended.

        Raises:
            OSError: the disk refuses.
        """
        for each in others:
            for key, times in _read(each).items():
                self._write(key, max(times, self.times(key)))
            each.unlink()

    def times(self, fingerprint: str) -> int:
        """Return how many processes ended over a video."""
        return self._times.get(fingerprint, 0)

    @contextmanager
    def written_down(self, fingerprint: str, video: Path) -> Iterator[None]:
        """Have a video written down during the block.

        Raises:
            VideoError: it was fatal too often.
            OSError: the disk refuses.
        """
        self.check(fingerprint, video)
        before = self.times(fingerprint)
        self._write(fingerprint, before + 1)
        after = 0
        try:
            yield
        except KeyboardInterrupt:
            after = before
            raise
        finally:
            self._write(fingerprint, after)

    def check(self, fingerprint: str, video: Path) -> None:
        """Raise a VideoError where a video was fatal too often."""
        if (times := self.times(fingerprint)) >= DEATHS:
            raise VideoError(
                video,
                f"is left out, as twostream was killed or crashed {times} times over it: delete "
                f"{self._path} to try it again",
            )

    def died(self, fingerprint: str) -> None:
        """Write down that another process ended over a video; raises OSError."""
        self._write(fingerprint, self.times(fingerprint) + 1)

    def _write(self, fingerprint: str, times: int) -> None:
        self._times[fingerprint] = times
        if not times:
            del self._times[fingerprint]
        if self._times:
            files.write_json(self._path, self._times)
        else:
            self._path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, int]:
    try:
        said = parse_json(path.read_bytes())
        return {key: int(said[key]) for key in said}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        logger.warning(f"{path} cannot be read ({error}) and is begun anew")
        return {}
