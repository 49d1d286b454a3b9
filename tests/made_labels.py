"""Labels for tests of what compares them."""

from __future__ import annotations

from twostream.judging import Agreement, ClassAgreement
from twostream.labels import Bout, Labels, Recording

CLASSES = ("sit", "walk", "groom")
TIOUS = (0.3, 0.4, 0.5, 0.6, 0.7)


def bouts(*rows: tuple) -> tuple[Bout, ...]:
    """Make bouts of (start, end, label[, confidence])."""
    return tuple(Bout(*row[:3], confidence=row[3] if len(row) > 3 else None) for row in rows)


def labels(*recordings: tuple[Bout, ...], seconds: float | None = 20, **more: object) -> Labels:
    """Make labels of CLASSES, of videos v0, v1, ... of one length."""
    made = tuple(
        Recording(f"v{i}.mp4", each, seconds=seconds, **more)  # type: ignore[arg-type]
        for i, each in enumerate(recordings)
    )
    known = (*CLASSES, *sorted({b.label for each in recordings for b in each} - {*CLASSES}))
    return Labels(made, known)


def of(found: Agreement, label: str) -> ClassAgreement:
    return next(each for each in found.classes if each.label == label)


def value(found: Agreement, name: str) -> float | None:
    return found.overall[name].value
