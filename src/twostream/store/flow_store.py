"""The flow store: a folder with one file per clip and kind, all made with the same settings.

::

    STORE/store.json                                   the settings
    STORE/rgb/<video id>.clip                          frames
    STORE/forward/<video id>.clip, STORE/backward/...  fields
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self

from twostream.files import remove_leftovers, write_text
from twostream.flow import ESTIMATOR_NAMES, check_parameters, make_estimator
from twostream.foreign import is_foreign
from twostream.locks import locked
from twostream.schema import from_json, parse_json
from twostream.store.clip_file import ClipFile
from twostream.store.clip_writer import ClipWriter
from twostream.store.coding import FORMAT_VERSION, ClipHeader, Codec, Kind
from twostream.types import ModelSpec, StoreError, UsageError

SETTINGS_NAME = "store.json"
# bytes of a video's name, of the 255 of most file systems: ".clip", and what `files` puts round it
LONGEST_NAME = 227
PATIENCE_SECONDS = 10.0  # with another process that makes the same store
IMPORTED = "imported"  # stands where the name of the estimator would


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """What all clips of a store were made with.

    Attributes:
        flow: name of the flow estimator; "imported" for flow that other tools made.
        parameters: the estimator's, all of them; empty means its defaults.
        short_side: of the stored size, px; None keeps each clip's size.
        enlarges: bring smaller clips to it too, so that their motion is that of the others; else
            clips only ever shrink. No other store for that: each clip says what it is.
        codec: "jpeg" or "lossless".
        quality: of the JPEG, 1 to 100.
        bound_px: fixed range of the codes; None keeps a range per field and component.
        fps: frames per second that clips are resampled to; None keeps each clip's rate.

    Raises:
        UsageError: a value out of range.
    """

    flow: str = "dis"
    parameters: dict[str, int | float] = field(default_factory=dict)
    short_side: int | None = 256
    codec: Codec = "jpeg"
    quality: int = 90
    bound_px: float | None = None
    fps: float | None = None
    enlarges: bool = False

    def __post_init__(self) -> None:
        if self.codec not in ("jpeg", "lossless"):
            raise UsageError(f"no codec {self.codec!r} for flow: use jpeg or lossless")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"a JPEG quality lies in 1 to 100, got {self.quality}")
        if self.short_side is not None and self.short_side < 1:
            raise UsageError(f"the short side must be at least 1 px, got {self.short_side}")
        for name, value in (("bound", self.bound_px), ("frame rate", self.fps)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"the {name} must be a number above 0, got {value}")

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Read settings out of a file.

        Raises:
            ValueError, UsageError: something is unknown, of another kind or out of range.
        """
        settings = from_json(cls, values)
        check_parameters(settings.parameters)
        return settings

    @classmethod
    def of_model(cls, spec: ModelSpec) -> Self:
        """Return how a network's videos are stored, at its own frame rate; raises likewise.

        Where crops are resized, smaller videos are enlarged, whatever an older version did: their
        motion, in pixels, would be slower than what the network learnt from.
        """
        own = cls.from_json({**spec.store, "fps": spec.fps})
        return dataclasses.replace(own, enlarges=spec.centre_size is not None and not own.imported)

    @property
    def imported(self) -> bool:
        """Whether other tools made the flow, so that it can be read and never computed."""
        return self.flow == IMPORTED

    def complete(self) -> StoreSettings:
        """Return the same settings with every parameter of the estimator spelt out."""
        if self.flow not in ESTIMATOR_NAMES:
            return self  # made elsewhere: its parameters are what they say
        parameters = make_estimator(self.flow, **self.parameters).parameters
        return dataclasses.replace(self, parameters=parameters)

    def header(self, kind: Kind, **own: Any) -> ClipHeader:
        """Return the header of a clip that is made with these settings.

        Args:
            kind: "rgb", "forward" or "backward".
            **own: what is the clip's own: ``video_id``, ``height``, ``width``, ``fps``, ...
        """
        if kind != "rgb":
            own |= {"method": self.flow, "parameters": self.parameters, "bound_px": self.bound_px}
        return ClipHeader(kind=kind, codec=self.codec, quality=self.quality, **own)


class FlowStore:
    """A folder of clip files. Use ``create`` to write to it, ``open`` to read it.

    Attributes:
        root: the folder.
        settings: what all its clips were made with.
    """

    def __init__(self, root: Path | str, settings: StoreSettings) -> None:
        self.root = Path(root)
        self.settings = settings

    @classmethod
    def create(cls, root: Path | str, settings: StoreSettings) -> Self:
        """Make a store, or open the one that is there.

        Raises:
            StoreError: the one that is there was made with other settings, or the folder holds
                something else.
        """
        root = Path(root)
        settings = settings.complete()
        path = root / SETTINGS_NAME
        cls.check_place(root, settings)
        if not path.is_file():
            how: Any = {"make": True, "patience": PATIENCE_SECONDS, "error": StoreError}
            with locked(root, "try again", "use another --store", **how):
                cls._begin(path, settings)
        cls.open(root).check_settings(settings)  # another process may have made it just now
        return cls(root, settings)

    @staticmethod
    def _begin(path: Path, settings: StoreSettings) -> None:
        """Write the settings, unless another process has written its own."""
        text = {"version": FORMAT_VERSION, **dataclasses.asdict(settings)}
        del text["enlarges"]  # as it was before there was such a setting
        try:
            if not path.is_file():
                write_text(path, json.dumps(text, indent=2) + "\n")
        except OSError as error:
            raise StoreError(
                f"no flow store can be made at {path.parent}: {error.strerror}"
            ) from error

    @classmethod
    def check_place(cls, root: Path | str, settings: StoreSettings) -> None:
        """Raise the StoreError that ``create`` would; nothing is written."""
        root = Path(root)
        try:
            # looked at first: what another process begins meanwhile has its settings at once
            filled = root.is_dir() and any(not is_foreign(p.name) for p in root.iterdir())
            if (root / SETTINGS_NAME).is_file():
                cls.open(root).check_settings(settings)
            elif root.exists() and not root.is_dir():
                raise StoreError(f"{root} is a file: --store needs a folder")
            elif filled:
                raise StoreError(
                    f"{root} is not empty and holds no flow store: use another --store"
                )
        except OSError as error:
            raise StoreError(f"no flow store can be made at {root}: {error.strerror}") from error

    @classmethod
    def open(cls, root: Path | str) -> Self:
        """Open a store; raises StoreError where there is none."""
        path = Path(root) / SETTINGS_NAME
        try:
            text: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
            version = text.pop("version")
            if version == FORMAT_VERSION:
                return cls(root, StoreSettings.from_json(text))
        except FileNotFoundError:
            raise StoreError(
                f"{root} holds no flow store (no {SETTINGS_NAME}): run twostream extract first"
            ) from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, UsageError) as error:
            raise StoreError(f"{path} cannot be read ({error}): use another --store") from error
        raise StoreError(
            f"{path} has format {version}, this version reads {FORMAT_VERSION}: extract again "
            "into another --store"
        )

    def check_settings(self, wanted: StoreSettings) -> None:
        """Raise a StoreError that names every setting in which this store differs."""
        has = dataclasses.asdict(self.settings)
        differing = [
            f"{name} is {has[name]!r}, wanted {value!r}"
            for name, value in dataclasses.asdict(wanted.complete()).items()
            if has[name] != value and name != "enlarges"
        ]
        if differing:
            raise StoreError(
                f"the flow store {self.root} was made with other settings: {'; '.join(differing)}:"
                " use another --store or the same options"
            )

    def path(self, video_id: str, kind: Kind) -> Path:
        """Return where the file of a clip lies, whether or not it exists."""
        # An id may come from a list with ../ in it; it must not lead out of the store.
        parts = [
            part.replace(".", "%2E") if part in (".", "..") else part
            for part in PurePosixPath(video_id).parts
            if part != "/"
        ]
        return self.root.joinpath(kind, *parts[:-1], _fitting(parts[-1]) + ".clip")

    def clip(self, video_id: str, kind: Kind) -> ClipFile:
        """Open a clip; raises StoreError where it is missing or damaged."""
        path = self.path(video_id, kind)
        if not os.path.isfile(path):  # unlike Path's, False for a name that the disk refuses
            raise StoreError(
                f"the flow store {self.root} has no {kind} of {video_id}: run twostream extract"
            )
        return ClipFile(path)

    def has(self, video_id: str, kind: Kind, source_hash: str | None = None) -> bool:
        """Whether a clip is finished, valid, and made of this source, see ``valid``."""
        return self.valid(video_id, kind, source_hash) is not None

    def valid(self, video_id: str, kind: Kind, source_hash: str | None = None) -> ClipFile | None:
        """Return a clip that is finished, undamaged, and made of this source; None where it is not.

        Without a hash any source will do, and so it is with a clip that has none: it was imported
        without its video.
        """
        try:
            file = self.clip(video_id, kind)
            header = file.header
            wanted = (kind, video_id, self.settings.codec)
            if (header.kind, header.video_id, header.codec) != wanted or (
                source_hash is not None and header.source_hash not in ("", source_hash)
            ):
                return None
            if not self._of_our_size(header):
                return None
            file.check()
        except StoreError:
            return None
        return file

    def _of_our_size(self, header: ClipHeader) -> bool:
        """Whether a clip was enlarged, or not, as the settings say; a store may hold both."""
        if not self.settings.enlarges:
            return header.source_side == 0
        return min(header.height, header.width) >= (self.settings.short_side or 0)

    def damaged(self, video_id: str, kind: Kind) -> bool:
        """Whether a clip is there, and anything in it is not as it was written."""
        if not os.path.isfile(self.path(video_id, kind)):
            return False
        try:
            self.clip(video_id, kind).check()
        except StoreError:
            return True
        return False

    def writer(self, header: ClipHeader) -> ClipWriter:
        """Return a writer for one clip of this store."""
        return ClipWriter(self.path(header.video_id, header.kind), header)

    def clean(self) -> int:
        """Delete unfinished files of runs that were killed; returns their number."""
        return remove_leftovers(self.root, below=True)

    def paths(self) -> Iterator[Path]:
        """Yield all finished clip files."""
        return self.root.glob("*/**/*.clip")


def _fitting(name: str) -> str:
    """Return a name that a file system takes with more behind it: one too long, cut and hashed."""
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST_NAME:
        return name
    start = encoded[: LONGEST_NAME - 17].decode(errors="ignore")
    return f"{start}~{hashlib.sha1(encoded, usedforsecurity=False).hexdigest()[:16]}"
