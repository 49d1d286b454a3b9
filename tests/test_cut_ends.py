"""Files that were cut off in the middle, in containers whose durations do not tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from camera_on_paper import PaperClock
from odd_videos import encode, moving_square
from twostream.video import VideoReader
from twostream.video.cut_ends import asf_seconds, ends_in_a_packet
from twostream.video.live_sources import FileSource

KINDS: dict[str, tuple[str, str | None, dict[str, str]]] = {  # codec, form, options of the form
    ".wmv": ("wmv2", None, {}),
    ".mpg": ("mpeg1video", None, {}),
    ".vob": ("mpeg2video", "dvd", {}),
    ".ts": ("mpeg2video", None, {}),
    ".m2ts": ("mpeg2video", "mpegts", {"mpegts_m2ts_mode": "1"}),
}


@pytest.fixture(scope="module", params=KINDS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, form, muxing = KINDS[request.param]
    path = tmp_path_factory.mktemp("whole") / f"a{request.param}"
    return encode(path, moving_square(75), codec=codec, form=form, muxing=muxing)


def test_a_file_that_was_cut_off_is_told(whole: Path, tmp_path: Path, said: list[str]) -> None:
    def warning() -> str:
        with VideoReader(cut) as reader:
            assert sum(1 for _ in reader) > 10
            return reader.warning or ""

    data, cut = whole.read_bytes(), tmp_path / whole.name
    for kept in (data, data + bytes(40)):  # what fills a sector up is no packet
        cut.write_bytes(kept)
        assert not warning()
    for share in (0.45, 0.8):
        least = int(share * len(data))  # and where it is between no two packets
        size = next(k for k in range(least, len(data)) if all(20 < k % n < 160 for n in (188, 192)))
        cut.write_bytes(data[:size])
        assert "it seems to be cut off" in warning()
    assert sum(1 for _ in FileSource(cut).frames(PaperClock())) < 75
    assert len(said) == 1 and "it seems to be cut off" in said[0]


def test_a_program_stream_may_end_with_its_end_code_or_filled_up(tmp_path: Path) -> None:
    pack = b"\0\0\1\xba" + bytes([0x44, *range(8), 0xF8])  # 13818-1, table 2-33
    packet = b"\0\0\1\xe0" + (300).to_bytes(2, "big") + b"\0\0\1\xba\0\0\1\x01" * 37 + bytes(4)
    whole = (pack + packet) * 50
    file = tmp_path / "a.mpg"

    def told(data: bytes) -> bool:
        file.write_bytes(data)
        return ends_in_a_packet(file, "mpeg")

    for end in (b"", b"\0\0\1\xb9", b"\0\0\1\xb9" + bytes(500), b"\xff" * 9, b"\0", b"TAG" * 40):
        assert not told(whole + end)
    for end in (pack[:3], pack[:9], packet[:5], packet[:20], packet[:-1]):
        assert told(whole + end)
    assert not told(b"\0\0\1\xba" * 70_000)  # of which nothing follows another
    assert not told(packet[:200])


def test_what_an_asf_header_does_not_know_is_no_claim(tmp_path: Path) -> None:
    file = encode(tmp_path / "a.wmv", moving_square(25), codec="wmv2")
    data = bytearray(file.read_bytes())
    at = data.index(bytes.fromhex("a1dcab8c47a9cf11"))
    half = len(data) // 2
    assert asf_seconds(file) == 0  # as large as it says: FFmpeg knows its length
    file.write_bytes(data[:half])
    assert asf_seconds(file) == pytest.approx(1)
    data[at + 88] |= 1  # broadcast
    file.write_bytes(data[:half])
    assert asf_seconds(file) == 0
    file.write_bytes(data[:60])
    assert asf_seconds(file) == 0
