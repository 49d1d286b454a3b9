"""Whether a file was cut off, by its own bytes: where FFmpeg's durations say nothing of it.

The durations of program and transport streams are those of what is there, and an ASF file's is
dropped when the file is shorter than it says. But their packets tell how long they are, and a whole
file does not end within one. One that was cut between two packets cannot be told from a whole one.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

# of ASF (Advanced Systems Format, Microsoft, sections 3.1 and 3.2), as the bytes of their GUIDs
_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_BROADCAST = 1  # its sizes and times are not known
_HEADER_BYTES = 1 << 20  # of which so many are looked at

_TAIL_BYTES = 1 << 18  # more than three of the longest packets of a program stream
_END, _PACK = 0xB9, 0xBA  # of ISO 11172-1 and 13818-1, after 00 00 01
_SYNC, _TS_PACKET = 0x47, 188
_TS_PACKETS = (188, 192, 204)  # plain, with a time before each (.m2ts), with check bytes after
_FEWEST = 4  # packets in a row, before what looks like one is believed; of transport streams
_FEWEST_TS = 8
_STARTS = 100  # that are tried: a made file could be full of them


def asf_seconds(path: Path) -> float:
    """Return how long an ASF file says that it is where it says that it is larger, too; else 0.

    >>> asf_seconds(Path(__file__))
    0.0
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    at = 30
    while head.startswith(_HEADER) and at + 92 <= len(head):
        (length,) = struct.unpack_from("<Q", head, at + 16)
        if head[at : at + 16] == _FILE_PROPERTIES:
            told, _, _, played, _, preroll, flags = struct.unpack_from("<QQQQQQI", head, at + 40)
            if flags & _BROADCAST or told <= size:
                return 0.0
            return max(0.0, played / 1e7 - preroll / 1e3)
        at += max(24, length)
    return 0.0


def ends_in_a_packet(path: Path, kind: str) -> bool:
    """Tell whether a file's last packet is not whole.

    Args:
        path: the file.
        kind: FFmpeg's name of the format; of all but "mpeg" and "mpegts" nothing is known.
    """
    if kind not in ("mpeg", "mpegts"):
        return False
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    return _in_a_pes_packet(tail) if kind == "mpeg" else _in_a_ts_packet(tail)


def _in_a_pes_packet(tail: bytes) -> bool:
    """Tell whether the end of a program stream is not the end of a packet.

    The packets are followed from the first pack from which they can be: each begins where the one
    before ends. What looks like a pack inside a packet leads nowhere.
    """
    start = -1
    for _ in range(_STARTS):
        start = tail.find(b"\0\0\1\xba", start + 1)
        if start < 0:
            return False
        at, packets = start, 0
        while tail[at : at + 3] == b"\0\0\1" and (length := _length(tail[at : at + 14])):
            at, packets = at + length, packets + 1
        rest = tail[at:].strip(b"\0\xff")  # some fill the last sector up
        if packets >= _FEWEST and not rest:
            return at > len(tail)
    return False


def _length(head: bytes) -> int:
    """Return the length of a packet, by its first 14 bytes; 0: it is none.

    Of one whose length is cut off, too, it is longer than what is there.
    """
    if len(head) < 6 or (len(head) < 14 and head[3] == _PACK):
        return 4 if head[3:4] == bytes([_END]) else 15
    kind = head[3]
    if kind == _PACK:
        return 14 + (head[13] & 7) if head[4] >> 6 == 1 else 12 * (head[4] >> 4 == 2)
    if kind == _END:
        return 4
    told = int.from_bytes(head[4:6], "big")
    return 6 + told if kind > _PACK and told else 0


def _in_a_ts_packet(tail: bytes) -> bool:
    """Tell whether the end of a transport stream is not the end of a packet."""
    for step in _TS_PACKETS:
        for last in range(len(tail) - 1, len(tail) - 1 - step, -1):
            row = tail[last::-step][:_FEWEST_TS]
            if len(row) == _FEWEST_TS and set(row) == {_SYNC}:
                return len(tail) - last < _TS_PACKET
    return False
