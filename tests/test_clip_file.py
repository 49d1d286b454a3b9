"""Clip files: what comes back, and what is refused."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from twostream.flow import make_estimator
from twostream.store.coding import (
    coded_item,
    decode_fields,
    decode_item,
    encode_field,
    picture_size,
)
from twostream.store.flow_store import ClipFile, ClipHeader, ClipWriter
from twostream.types import StoreError

HEIGHT, WIDTH = 30, 41


def header(**changes: object) -> ClipHeader:
    values: dict = {
        "kind": "forward",
        "video_id": "walk/a b [1].avi",
        "height": HEIGHT,
        "width": WIDTH,
        "fps": 25.0,
        "method": "dis",
        "parameters": {"finest_scale": 0},
        "source_hash": "abc",
        "source_name": "a b [1].avi",
    }
    return ClipHeader(**{**values, **changes})


def smooth_fields(n: int, amplitude: float = 5.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fields = rng.standard_normal((n, 2, HEIGHT, WIDTH)).astype(np.float32)
    for field in fields:
        for plane in field:
            plane[:] = cv2.GaussianBlur(plane, (0, 0), 4)
    return fields * np.float32(amplitude / np.abs(fields).max())


def smooth_frames(n: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 255, (n, HEIGHT, WIDTH, 3), np.uint8)
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in frames])


def in_memory(items: np.ndarray, **changes: object) -> ClipFile:
    write(buffer := io.BytesIO(), items, **changes)
    return ClipFile(buffer.getvalue())


def on_disk(path: Path, items: np.ndarray, **changes: object) -> ClipFile:
    write(path, items, **changes)
    return ClipFile(path)


def write(target: Path | io.BytesIO, items: np.ndarray, **changes: object) -> None:
    writer = ClipWriter(target, header(**changes))
    for item in items:
        writer.append(item)
    writer.close()


CODINGS = [
    {},
    {"bound_px": 20.0},
    {"bound_px": 0.1},
    {"quality": 30},
    {"quality": 100, "bound_px": 15.0},
    {"codec": "lossless"},
]


class TestCodes:
    def test_known_answers(self) -> None:
        field = np.zeros((2, 1, 5), np.float32)
        field[0, 0] = [-20, -10, 0, 10, 20]
        field[1, 0] = [0, 0.5, 0, -0.25, 0]
        codes, ranges = encode_field(field)
        np.testing.assert_array_equal(ranges, [20, 0.5])
        np.testing.assert_array_equal(codes[0, 0], [1, 64, 128, 192, 255])
        np.testing.assert_array_equal(codes[1, 0], [128, 255, 128, 64, 128])
        np.testing.assert_allclose(decode_fields(codes[None], ranges[None])[0], field, atol=0.08)

    def test_clipping_at_the_bound(self) -> None:
        field = np.array([[[-99.0, 3.0]], [[8.0, 8.1]]], np.float32)
        codes, ranges = encode_field(field, bound_px=8)
        np.testing.assert_array_equal(codes, [[[1, 176]], [[255, 255]]])
        decoded = decode_fields(codes[None], ranges[None])[0]
        np.testing.assert_allclose(decoded, [[[-8, 3]], [[8, 8]]], atol=8 / 254)

    @pytest.mark.parametrize("bound_px", [None, 20.0])
    def test_error_is_half_a_step(self, bound_px: float | None) -> None:
        """128 + round(127 d / range): at most range / 254 away."""
        field = smooth_fields(1, 19.0)[0]
        codes, ranges = encode_field(field, bound_px)
        assert codes.min() >= 1
        error = np.abs(decode_fields(codes[None], ranges[None])[0] - field)
        assert (error.max(axis=(1, 2)) <= ranges / 254 * 1.001).all()

    def test_small_displacements_stay_and_rounding_noise_goes(self) -> None:
        field = np.array([[[1e-4, -5e-5]], [[1e-38, -1e-7]]], np.float32)
        codes, ranges = encode_field(field)
        decoded = decode_fields(codes[None], ranges[None])[0]
        np.testing.assert_allclose(decoded[0], field[0], atol=5e-7)
        np.testing.assert_array_equal(decoded[1], 0)


class TestFields:
    @pytest.mark.parametrize("coding", CODINGS)
    def test_zero_is_exactly_zero(self, coding: dict) -> None:
        """In both components of the first field, and in one of the second."""
        fields = smooth_fields(2)
        fields[0] = fields[1, 1] = 0
        decoded = in_memory(fields, **coding).fields()
        assert decoded.dtype == np.float32
        np.testing.assert_array_equal(decoded[0], 0)
        np.testing.assert_array_equal(decoded[1, 1], 0)
        assert np.abs(decoded[1, 0]).max() > 0.09

    @pytest.mark.parametrize(
        ("quality", "mean", "worst"), [(75, 0.012, 0.1), (90, 0.006, 0.03), (95, 0.004, 0.02)]
    )
    def test_jpeg_error_is_bounded(self, quality: int, mean: float, worst: float) -> None:
        """As a share of the field's range, on smooth fields."""
        fields = smooth_fields(6, 10.0)
        clip = in_memory(fields, quality=quality)
        error = np.abs(clip.fields() - fields) / clip.ranges[:, :, None, None]
        assert error.mean() < mean
        assert error.max() < worst

    def test_jpeg_error_on_real_flow(self, shared_data: Path) -> None:
        """Field notes: .110 px mean end-point error with a bound of 20 px, .022 px without."""
        folder = shared_data / "flow_ground_truth" / "rubberwhale"
        pair = [cv2.imread(str(folder / f"frame1{i}.png"), cv2.IMREAD_GRAYSCALE) for i in (0, 1)]
        field = make_estimator("dis")(*pair)
        size = {"height": field.shape[1], "width": field.shape[2]}
        error = {}
        for bound_px in (None, 20.0):
            decoded = in_memory(field[None], bound_px=bound_px, **size).fields()[0]
            error[bound_px] = np.hypot(*(decoded - field))
        assert error[None].mean() < 0.03
        assert np.quantile(error[None], 0.99) < 0.12
        assert error[20.0].mean() < 0.12
        assert np.quantile(error[20.0], 0.99) < 0.4

    def test_lossless_is_bit_exact(self) -> None:
        fields = smooth_fields(3)
        fields[0, 0, 0, :4] = [-0.0, 1e-40, 3e38, -1e30]
        clip = in_memory(fields, codec="lossless")
        assert clip.fields().tobytes() == fields.tobytes()
        np.testing.assert_array_equal(clip.ranges, np.abs(fields).max(axis=(2, 3)))

    @pytest.mark.parametrize("coding", CODINGS)
    def test_random_access_equals_sequential(self, coding: dict) -> None:
        clip = in_memory(smooth_fields(9), **coding)
        whole = clip.fields()
        assert whole.shape == (9, 2, HEIGHT, WIDTH)
        for start, stop in ((8, 9), (0, 1), (3, 7), (4, 4), (0, 9)):
            np.testing.assert_array_equal(clip.fields(start, stop), whole[start:stop])
        np.testing.assert_array_equal(clip.fields(5), whole[5:])

    def test_codes_are_the_fields(self) -> None:
        clip = in_memory(smooth_fields(7))
        codes, ranges = clip.kept(), clip.ranges
        assert codes.shape == (7, 2, HEIGHT, WIDTH)
        assert codes.dtype == np.uint8
        assert codes.min() >= 1
        assert ranges.shape == (7, 2)
        np.testing.assert_array_equal(decode_fields(codes, ranges), clip.fields())
        np.testing.assert_array_equal(clip.kept(2, 5), codes[2:5])
        np.testing.assert_array_equal(clip.kept(3, 4), codes[3:4])

    def test_on_disk_equals_in_memory(self, tmp_path: Path) -> None:
        fields = smooth_fields(4)
        disk = on_disk(tmp_path / "x.clip", fields)
        memory = in_memory(fields)
        assert disk.header == memory.header
        np.testing.assert_array_equal(disk.fields(), memory.fields())
        np.testing.assert_array_equal(disk.ranges, memory.ranges)


class TestFrames:
    def test_jpeg_is_close_and_rgb(self) -> None:
        frames = smooth_frames(4)
        decoded = in_memory(frames, kind="rgb").frames()
        assert decoded.shape == frames.shape
        assert decoded.dtype == np.uint8
        assert np.abs(decoded.astype(int) - frames).mean() < 4
        assert np.abs(decoded.astype(int) - frames[..., ::-1]).mean() > 8  # not BGR

    def test_lossless_is_bit_exact(self) -> None:
        frames = smooth_frames(4)
        clip = in_memory(frames, kind="rgb", codec="lossless")
        np.testing.assert_array_equal(clip.frames(), frames)
        np.testing.assert_array_equal(clip.frames([3, 0, 3]), frames[[3, 0, 3]])
        assert clip.frames([]).shape == (0, HEIGHT, WIDTH, 3)

    def test_random_access_equals_sequential(self) -> None:
        clip = in_memory(smooth_frames(5), kind="rgb")
        np.testing.assert_array_equal(clip.frames([4, 1]), clip.frames()[[4, 1]])


@pytest.mark.parametrize("kind", ["rgb", "forward"])
@pytest.mark.parametrize("codec", ["jpeg", "lossless"])
def test_one_item_comes_back_as_from_a_file(kind: str, codec: str) -> None:
    """A window of a stream sees bit for bit what a stored clip holds, at any bound."""
    items = smooth_frames(3) if kind == "rgb" else smooth_fields(3)
    for bound_px in (None, 2.0):
        coding = {"kind": kind, "codec": codec, "bound_px": bound_px, "quality": 77}
        clip = in_memory(items, **coding)
        for i, item in enumerate(items):
            kept, ranges = coded_item(item, header(**coding))
            assert kept.dtype == clip.kept().dtype
            np.testing.assert_array_equal(kept, clip.kept(i, i + 1)[0])
            if clip.header.coded:
                np.testing.assert_array_equal(ranges, clip.ranges[i])
    with pytest.raises(StoreError, match="takes items of shape"):
        coded_item(items[0][:, :-1], header(**coding))


class TestHeader:
    def test_it_says_all(self) -> None:
        buffer = io.BytesIO()
        writer = ClipWriter(buffer, header(bound_px=3.5, quality=77))
        writer.append(smooth_fields(1)[0])
        writer.close(warning="broke off")
        got = ClipFile(buffer.getvalue()).header
        assert got == header(bound_px=3.5, quality=77, count=1, warning="broke off")
        assert len(ClipFile(buffer.getvalue())) == 1

    @pytest.mark.parametrize("kind", ["rgb", "forward"])
    def test_an_empty_clip(self, kind: str) -> None:
        clip = in_memory(np.zeros((0,)), kind=kind)
        assert len(clip) == 0
        if kind == "rgb":
            assert clip.frames().shape == (0, HEIGHT, WIDTH, 3)
        else:
            assert clip.fields().shape == (0, 2, HEIGHT, WIDTH)
            assert clip.ranges.shape == (0, 2)


class TestRefusals:
    @pytest.mark.parametrize("span", [(-1, 2), (0, 5), (4, 5), (3, 2)])
    def test_outside(self, span: tuple[int, int]) -> None:
        with pytest.raises(StoreError, match=r"walk/a b .*has 4 \(0 to 3\)"):
            in_memory(smooth_fields(4)).fields(*span)
        with pytest.raises(StoreError, match="has 4"):
            in_memory(smooth_frames(4), kind="rgb").frames([4])
        with pytest.raises(StoreError, match="has 4"):
            in_memory(smooth_frames(4), kind="rgb").frames([-1])

    def test_the_wrong_kind(self) -> None:
        with pytest.raises(StoreError, match="holds forward flow, not frames"):
            in_memory(smooth_fields(1)).frames()
        with pytest.raises(StoreError, match="holds rgb frames, not flow"):
            in_memory(smooth_frames(1), kind="rgb").fields()

    def test_a_wrong_shape(self, tmp_path: Path) -> None:
        writer = ClipWriter(tmp_path / "x.clip", header())
        with pytest.raises(StoreError, match=r"takes items of shape \(2, 30, 41\)"):
            writer.append(np.zeros((2, WIDTH, HEIGHT), np.float32))
        with pytest.raises(StoreError, match="not finite"):
            writer.append(np.full((2, HEIGHT, WIDTH), np.nan, np.float32))
        writer.abort()
        assert list(tmp_path.iterdir()) == []

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot be read"):
            ClipFile(tmp_path / "none.clip")

    @pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9, 0.999])
    def test_truncated(self, tmp_path: Path, share: float) -> None:
        path = tmp_path / "x.clip"
        on_disk(path, smooth_fields(4))
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(StoreError, match=r"x\.clip: .*extract it again"):
            ClipFile(path)

    def test_every_damaged_byte_is_found(self, tmp_path: Path) -> None:
        """Whichever byte is changed: opening or reading raises, nothing wrong comes back."""
        path = tmp_path / "x.clip"
        on_disk(path, smooth_fields(2))
        data = path.read_bytes()
        for position in [*range(0, len(data) - 40, 97), *range(len(data) - 40, len(data))]:
            damaged = bytearray(data)
            damaged[position] ^= 0x15
            path.write_bytes(damaged)
            with pytest.raises(StoreError, match=r"x\.clip"):
                ClipFile(path).fields()

    @pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 5000, os.urandom(5000)])
    def test_foreign_files(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "x.clip"
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"x\.clip"):
            ClipFile(path)

    def test_a_swapped_file_is_noticed(self, tmp_path: Path) -> None:
        """Extracted anew while it is open: not a mixture of both."""
        clip = on_disk(tmp_path / "x.clip", smooth_fields(4))
        on_disk(tmp_path / "x.clip", smooth_fields(3, seed=5))
        with pytest.raises(StoreError, match=r"damaged|cut off"):
            clip.fields()


class TestWriting:
    def test_nothing_under_its_name_before_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "er" / "x.clip"
        writer = ClipWriter(path, header())
        writer.append(smooth_fields(1)[0])
        assert not path.exists()
        writer.close()
        assert [p.name for p in path.parent.iterdir()] == ["x.clip"]
        writer.abort()
        assert path.exists()

    def test_abort_keeps_the_old_file(self, tmp_path: Path) -> None:
        path = tmp_path / "x.clip"
        on_disk(path, smooth_fields(3))
        writer = ClipWriter(path, header())
        writer.append(smooth_fields(1)[0])
        writer.abort()
        assert len(ClipFile(path)) == 3
        assert len(list(tmp_path.iterdir())) == 1

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_a_full_disk(self) -> None:
        with open("/dev/full", "wb", buffering=0) as full:
            with pytest.raises(StoreError, match="no space left on the disk") as caught:
                ClipWriter(full, header())
            assert isinstance(caught.value.__cause__, OSError)

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreError, match="cannot be written"):
            ClipWriter(tmp_path / "file" / "x.clip", header())


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("colours", [(), (3,)])
def test_the_size_of_a_picture_is_known_before_it_is_unpacked(
    suffix: str, colours: tuple[int, ...]
) -> None:
    for height, width in ((1, 1), (37, 300)):
        picture = np.random.default_rng(0).integers(0, 255, (height, width, *colours), np.uint8)
        blob = cv2.imencode(suffix, picture)[1].tobytes()
        assert picture_size(blob) == picture_size(memoryview(blob)) == (height, width)
        for cut in range(30):
            assert picture_size(blob[:cut]) in (None, (height, width))
    assert picture_size(b"no picture" * 9) is None


def test_a_field_that_would_unpack_to_gigabytes_is_refused() -> None:
    field = header(codec="lossless")
    bomb = zlib.compress(bytes(50_000_000))
    with pytest.raises(ValueError, match="damaged field"):
        decode_item([bomb], field, field.empty(1)[0])
    small = cv2.imencode(".png", np.zeros((HEIGHT, WIDTH), np.uint8))[1].tobytes()
    huge = small[:16] + 2 * (30_000).to_bytes(4) + small[24:]
    rgb = header(kind="rgb")
    with pytest.raises(ValueError, match="another size"):
        decode_item([huge], rgb, rgb.empty(1)[0])
