"""`twostream flow`: fields and images in files, and the film of a video."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from frame_images import write_video
from twostream.__main__ import run
from twostream.display.colours import flow_to_rgb
from twostream.display.field_files import flo_bytes, read_grey, read_pair, save_field
from twostream.display.film import LEGEND_WIDTH_PX, WHEEL_PX, draw_legend, write_film
from twostream.flow import ESTIMATOR_NAMES, make_estimator
from twostream.types import DataError, UsageError, VideoError
from twostream.video import VideoReader

KNOWN = np.array([[[1.5, -2.0, 0.0]], [[0.25, 3.0, -1e10]]], np.float32)  # (2, 1, 3)


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    picture = sum(
        cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigma) * sigma
        for sigma in (1.5, 4.0)
    )
    return cv2.normalize(picture, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def moving(dx: int, dy: int, height: int = 64, width: int = 80) -> list[np.ndarray]:
    """Two grey pictures whose content moves by (dx, dy) px."""
    whole = texture(height + 40, width + 40)
    return [
        np.ascontiguousarray(whole[20 - k * dy :, 20 - k * dx :][:height, :width]) for k in (0, 1)
    ]


def film_of(
    path: Path, dx: int, dy: int, frames: int = 6, size: tuple[int, int] = (64, 80)
) -> Path:
    whole = texture(size[0] + 160, size[1] + 160)[..., None].repeat(3, axis=2)
    shown = [whole[80 - t * dy :, 80 - t * dx :][: size[0], : size[1]] for t in range(frames)]
    return write_video(path, shown, fps=24, quality=2)


def read_flo(path: Path | str) -> np.ndarray:
    """Read a field, (2, h, w), as other programs do."""
    return cv2.readOpticalFlow(str(path)).transpose(2, 0, 1)


class TestFlo:
    def test_known_bytes(self, tmp_path: Path) -> None:
        """PIEH, width 3, height 1, then x and y of each pixel, row by row."""
        data = flo_bytes(KNOWN)
        assert data[:12] == b"PIEH" + bytes([3, 0, 0, 0, 1, 0, 0, 0])
        assert np.frombuffer(data[:4], "<f4")[0] == np.float32(202021.25)
        np.testing.assert_array_equal(
            np.frombuffer(data[12:], "<f4"), np.float32([1.5, 0.25, -2, 3, 0, -1e10])
        )
        save_field(tmp_path / "a.flo", KNOWN)
        assert (tmp_path / "a.flo").read_bytes() == data
        np.testing.assert_array_equal(read_flo(tmp_path / "a.flo"), KNOWN)

    def test_middleburys_own(self, shared_data: Path) -> None:
        path = shared_data / "flow_ground_truth" / "rubberwhale" / "flow10.flo"
        field = read_flo(path)
        assert field.shape == (2, 388, 584)
        known = np.abs(field) < 1e9
        assert 0.9 < known.mean() < 1 and np.abs(field[known]).max() < 5
        assert flo_bytes(field) == path.read_bytes()

    def test_other_formats(self, tmp_path: Path) -> None:
        field = make_estimator("dis")(*moving(3, -2))
        save_field(tmp_path / "a.npy", field)
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), field)
        save_field(tmp_path / "a.png", field)
        picture = cv2.imread(str(tmp_path / "a.png"))[..., ::-1]
        np.testing.assert_array_equal(picture, flow_to_rgb(field))
        with pytest.raises(UsageError, match=r"written as one of \.flo, \.npy, \.png"):
            save_field(tmp_path / "a.jpg", field)
        with pytest.raises(DataError, match="cannot be written"):
            save_field(tmp_path / "none" / "a.flo", field)
        assert {path.name for path in tmp_path.iterdir()} == {"a.npy", "a.png"}


class TestImages:
    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp", ".pgm"])
    def test_common_formats(self, suffix: str, tmp_path: Path) -> None:
        grey = texture(40, 50)
        cv2.imwrite(str(tmp_path / f"a{suffix}"), grey)
        got = read_grey(tmp_path / f"a{suffix}")
        assert got.shape == (40, 50) and got.dtype == np.uint8
        assert np.abs(got.astype(int) - grey).mean() < 3

    def test_depth_and_alpha(self, tmp_path: Path) -> None:
        grey = texture(40, 50)
        cv2.imwrite(str(tmp_path / "deep.png"), grey.astype(np.uint16) * 257)
        cv2.imwrite(str(tmp_path / "alpha.png"), cv2.merge([grey, grey, grey, grey // 2]))
        for name in ("deep.png", "alpha.png"):
            assert np.abs(read_grey(tmp_path / name).astype(int) - grey).max() <= 1

    def test_what_is_wrong(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), texture(40, 50))
        cv2.imwrite(str(tmp_path / "b.png"), texture(41, 50))
        with pytest.raises(DataError, match=r"a\.png has 50x40 px and .*b\.png 50x41 px"):
            read_pair(tmp_path / "a.png", tmp_path / "b.png")
        (tmp_path / "text.png").write_text("text")
        (tmp_path / "empty.png").write_text("")
        for name in ("text.png", "empty.png"):
            with pytest.raises(DataError, match="is no image"):
                read_grey(tmp_path / name)
        with pytest.raises(DataError, match="No such file"):
            read_grey(tmp_path / "none.png")

    def test_the_verb(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        names = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
        for name, picture in zip(names, moving(3, -2), strict=True):
            cv2.imwrite(name, picture)
        for method in ("dis", "farneback"):
            out = str(tmp_path / f"{method}.flo")
            assert run(["flow", *names, "--method", method, "--out", out, "--json"]) == 0
            result = json.loads(capsys.readouterr().out.splitlines()[-1])
            assert (result["width"], result["height"]) == (80, 64)
            inner = read_flo(out)[:, 12:-12, 12:-12].mean(axis=(1, 2))
            np.testing.assert_allclose(inner, [3, -2], atol=0.15)

    def test_wrong_usage(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), texture(40, 50))
        name = str(tmp_path / "a.png")
        before = (tmp_path / "a.png").read_bytes()
        for arguments, sentence in (
            ([name, name, "--method", "brocks", "--out", "x.flo"], ", ".join(ESTIMATOR_NAMES)),
            ([name, name, "--out", "x.jpg"], "one of .flo, .npy, .png"),
            ([name, name, name, "--out", "x.flo"], "got 3 files"),
            ([name, name, "--out", name], "is one of the inputs"),
            ([name, "--out", "x.flo"], "one of .mp4"),
            ([name, "--out", "x.mp4", "--scale", "nan"], "scale must be a number"),
        ):
            assert run(["flow", *arguments]) == 2
            said = " ".join(capsys.readouterr().err.split())
            assert sentence in said and "Traceback" not in said
        assert (tmp_path / "a.png").read_bytes() == before


class TestFilm:
    @pytest.mark.parametrize(
        ("dx", "dy", "name"), [(3, 0, "right"), (-3, 0, "left"), (0, 3, "down"), (0, -3, "up")]
    )
    def test_colours_tell_the_direction(self, dx: int, dy: int, name: str, tmp_path: Path) -> None:
        """Right is red, down yellow, left cyan, up violet-blue; beside the frame it starts from."""
        video = film_of(tmp_path / "a.avi", dx, dy)
        summary = write_film(video, tmp_path / "out.mp4", make_estimator("dis"))
        assert (summary.pairs, summary.warning) == (5, None)
        assert 2.8 < summary.scale_px < 6
        with VideoReader(tmp_path / "out.mp4") as reader:
            shown = [frame.rgb for frame in reader]
            assert reader.info.fps == 24
        assert len(shown) == 5
        factor = 4  # 64 px enlarged towards 240
        assert shown[0].shape == (64 * factor, 2 * 80 * factor + LEGEND_WIDTH_PX, 3)
        with VideoReader(video) as reader:
            frames = [frame.rgb for frame in reader]
        left = shown[2][::factor, : 80 * factor : factor].astype(int)
        assert np.abs(left - frames[2]).mean() < 4 < np.abs(left - frames[3]).mean()
        red, green, blue = shown[2][100:150, 80 * factor + 100 : 160 * factor - 100].mean((0, 1))
        full, none = 170, 120
        wanted = {
            "right": red > full and green < none and blue < none,
            "down": red > full and green > full and blue < none,
            "left": red < none and green > full and blue > full,
            "up": red < 160 and green < none and blue > full,
        }
        assert wanted[name], (red, green, blue)

    def test_the_legend_is_the_wheel(self) -> None:
        legend = draw_legend(240, "dis", 6.4)
        assert legend.shape == (240, LEGEND_WIDTH_PX, 3)
        left, centre, top = (LEGEND_WIDTH_PX - WHEEL_PX) // 2, LEGEND_WIDTH_PX // 2, 8
        middle = top + WHEEL_PX // 2
        rim = WHEEL_PX // 2 - 3
        for (y, x), (dx, dy) in {
            (middle, centre + rim): (1, 0),
            (middle, centre - rim): (-1, 0),
            (middle + rim, centre): (0, 1),
            (middle - rim, centre): (0, -1),
        }.items():
            colour = flow_to_rgb(np.float32([[[dx]], [[dy]]]), 1)[0, 0]
            assert np.abs(legend[y, x].astype(int) - colour).max() < 50
        assert (legend[middle, centre] > 240).all() and (legend[top, left] == 255).all()
        assert (legend[middle + WHEEL_PX // 2 :] < 100).any()  # the words below it
        assert draw_legend(16, "dis", 1).shape == (16, LEGEND_WIDTH_PX, 3)

    def test_a_scale_and_a_size(self, tmp_path: Path) -> None:
        video = film_of(tmp_path / "a.avi", 4, 0, size=(63, 81))
        farneback = make_estimator("farneback")
        summary = write_film(video, tmp_path / "o.avi", farneback, short_side=31, scale_px=8)
        assert summary.scale_px == 8
        with VideoReader(tmp_path / "o.avi") as reader:
            frame = next(iter(reader)).rgb
        assert frame.shape == (31 * 8, 2 * 40 * 8 + LEGEND_WIDTH_PX, 3)
        red, green, blue = frame[100:150, 40 * 8 + 100 : 80 * 8 - 100].mean((0, 1))
        assert red > 230 and 150 < green < 220 and 150 < blue < 220  # 2 px of 8: pale

    def test_a_video_that_stands_still_is_white(self, tmp_path: Path) -> None:
        video = film_of(tmp_path / "a.avi", 0, 0)
        summary = write_film(video, tmp_path / "out.mp4", make_estimator("dis"))
        assert summary.scale_px == 1
        with VideoReader(tmp_path / "out.mp4") as reader:
            assert next(iter(reader)).rgb[:, 330:630].min() > 200

    def test_bad_videos_leave_nothing(
        self, tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        one = film_of(tmp_path / "one.avi", 1, 0, frames=1)
        with pytest.raises(VideoError, match="has one frame only"):
            write_film(one, tmp_path / "out.mp4", make_estimator("dis"))
        corrupted = shared_data / "robustness" / "corrupted.mp4"
        command = ["flow", str(corrupted), "--out", str(tmp_path / "c.mp4"), "--short-side", "64"]
        assert run([*command, "--json"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out.splitlines()[-1])["pairs"] == 48
        assert "a damaged packet was left out" in captured.err
        assert run(["flow", str(tmp_path / "none.avi"), "--out", str(tmp_path / "n.mp4")]) == 1
        assert {p.name for p in tmp_path.iterdir()} == {"one.avi", "c.mp4"}
