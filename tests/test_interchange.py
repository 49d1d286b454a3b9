"""Flow of other tools: every layout comes in with the right values, numbers, names and errors."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from twostream.__main__ import run
from twostream.datasets import Dataset
from twostream.interchange import FlowVideo, find_flow, import_flow, import_settings, match_names
from twostream.interchange.classic import decode_classic, encode_classic
from twostream.store.flow_store import FlowStore, StoreSettings
from twostream.types import DataError, LabeledVideo, StoreError, UsageError

COUNT = 6  # fields of a clip
STEP_PX = 40 / 255  # of the classic code at a bound of 20 px


def fields(count: int = COUNT, seed: int = 0, height: int = 40, width: int = 56) -> np.ndarray:
    """(n, 2, h, w): smooth, every field, component and sign different."""
    down, right = np.mgrid[:height, :width].astype(np.float32)
    found = []
    for i in range(count):
        x = 9 * np.sin(right / 17 + i + seed) + i
        y = -6 * np.cos(down / 13 - i) - 0.5 * i - 2
        found.append(np.stack([x, y]))
    return np.array(found, np.float32)


def pictures(count: int, height: int = 40, width: int = 56) -> np.ndarray:
    """(n, h, w, 3) RGB, each of its own grey-green."""
    shades = 20 + 25 * np.arange(count)
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[..., 1] = shades[:, None, None]
    frames[..., 2] = 60
    return frames


def coded(plane: np.ndarray, low: float, high: float) -> np.ndarray:
    """The classic code, written out a second time."""
    return np.round(255 * (np.clip(plane, low, high) - low) / (high - low)).astype(np.uint8)


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 95])


Write = Callable[[Path, str, np.ndarray, np.ndarray], None]


def flat(pattern: str, base: int) -> Write:
    """A layout with everything in the video's folder; the pattern has {axis} and {n}."""

    def write(root: Path, video: str, flow: np.ndarray, rgb: np.ndarray) -> None:
        for i, field in enumerate(flow):
            for axis, plane in zip("xy", field, strict=True):
                save(root / video / pattern.format(axis=axis, n=base + i), coded(plane, -20, 20))
        for i, frame in enumerate(rgb):
            save(root / video / f"img_{base + i:05}.jpg", frame[..., ::-1])

    return write


def feichtenhofer(root: Path, video: str, flow: np.ndarray, rgb: np.ndarray) -> None:
    for i, field in enumerate(flow):
        for axis, plane in zip("uv", field, strict=True):
            path = root / "tvl1_flow" / axis / video / f"frame{i + 1:06}.jpg"
            save(path, coded(plane, -20, 20))
    for i, frame in enumerate(rgb):
        save(root / "jpegs_256" / video / f"frame{i + 1:06}.jpg", frame[..., ::-1])


def gpu_flow(root: Path, video: str, flow: np.ndarray, rgb: np.ndarray) -> None:
    """Ranges of their own in a file beside x."""
    ranges = []
    for i, field in enumerate(flow):
        for axis, plane in zip("xy", field, strict=True):
            low, high = float(plane.min()), float(plane.max())
            ranges += [low, high]
            save(root / axis / video / f"frame{i + 1:06}.jpg", coded(plane, low, high))
    (root / "x" / f"{video}.bin").write_bytes(np.array(ranges, "<f4").tobytes())


def gpu_flow_inside(root: Path, video: str, flow: np.ndarray, rgb: np.ndarray) -> None:
    for i, field in enumerate(flow):
        for axis, plane in zip("xy", field, strict=True):
            save(root / video / axis / f"frame{i:06}.jpg", coded(plane, -20, 20))


def tsn_zips(root: Path, video: str, flow: np.ndarray, rgb: np.ndarray) -> None:
    for k, axis in enumerate("xy"):
        path = root / video / f"flow_{axis}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for i, field in enumerate(flow):
                blob = cv2.imencode(".jpg", coded(field[k], -20, 20))[1].tobytes()
                archive.writestr(f"{axis}_{i + 1:05}.jpg", blob)
    with zipfile.ZipFile(root / video / "img.zip", "w") as archive:
        for i, frame in enumerate(rgb):
            blob = cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes()
            archive.writestr(f"img_{i + 1:05}.jpg", blob)


def charades(root: Path, video: str, flow: np.ndarray, rgb: np.ndarray) -> None:
    """Its flow, its frames, and their names."""
    for i, field in enumerate(flow):
        for axis, plane in zip("xy", field, strict=True):
            path = root / "Charades_v1_flow" / video / f"{video}-{i + 1:06}{axis}.jpg"
            save(path, coded(plane, -20, 20))
    for i, frame in enumerate(rgb):
        save(root / "Charades_v1_rgb" / video / f"{video}-{i + 1:06}.jpg", frame[..., ::-1])


LAYOUTS: dict[str, tuple[str, Write]] = {
    "denseflow": ("denseflow", flat("flow_{axis}_{n:05}.jpg", 0)),
    "tsn": ("tsn", flat("flow_{axis}_{n:05}.jpg", 1)),
    "tsn zips": ("tsn", tsn_zips),
    "mmaction2": ("mmaction2", flat("{axis}_{n:05}.jpg", 1)),
    "mmaction2 from 0": ("mmaction2", flat("{axis}_{n:05}.jpg", 0)),
    "feichtenhofer": ("feichtenhofer", feichtenhofer),
    "charades": ("charades", charades),
    "gpu_flow": ("gpu_flow", gpu_flow),
    "gpu_flow inside": ("gpu_flow", gpu_flow_inside),
}
# Half a step of the classic code, and what two JPEGs of smooth fields add.
TOLERANCE_PX = STEP_PX / 2 + 0.25


def brought_in(root: Path, store: Path, **options: object) -> FlowStore:
    summary = import_flow(
        find_flow(root), store=store, settings=import_settings(bound_px=20, **options)
    )
    assert not summary.failed
    return FlowStore.open(store)


def failure(root: Path, store: Path) -> str:
    """Why the one bad video of a folder is not imported."""
    summary = import_flow(find_flow(root), store=store, settings=import_settings(bound_px=20))
    (why,) = summary.failed.values()
    return why


class TestClassicCode:
    def test_known_codes(self) -> None:
        values = np.float32([-25, -20, -0.079, 0, 0.079, 20, 25])
        codes, beyond = encode_classic(values, 20)
        np.testing.assert_array_equal(codes, [0, 0, 127, 128, 128, 255, 255])
        np.testing.assert_array_equal(beyond, [True, False, False, False, False, False, True])
        np.testing.assert_allclose(
            decode_classic(codes, -20, 20)[[2, 3]], [-0.0784, 0.0784], atol=1e-4
        )

    def test_the_inverse_is_exact(self) -> None:
        """Every code comes back as itself, and no displacement is off by more than half a step."""
        codes = np.arange(256, dtype=np.uint8)
        for bound in (15.0, 20.0, 32.0):
            px = decode_classic(codes, -bound, bound)
            np.testing.assert_array_equal(encode_classic(px, bound)[0], codes)
            values = np.linspace(-bound, bound, 1001, dtype=np.float32)
            back = decode_classic(encode_classic(values, bound)[0], -bound, bound)
            assert np.abs(back - values).max() <= bound / 255 * 1.001


@pytest.mark.parametrize("name", LAYOUTS)
class TestEveryLayout:
    def test_values_numbers_and_frames(self, name: str, tmp_path: Path) -> None:
        layout, write = LAYOUTS[name]
        flow, rgb = fields(), pictures(COUNT + 1)
        write(tmp_path / "in", "v_a [x]#1", flow, rgb)
        write(tmp_path / "in", "b.c", fields(3, seed=5), pictures(4))
        videos = find_flow(tmp_path / "in")
        assert [video.name for video in videos] == ["b.c", "v_a [x]#1"]
        settings = import_settings(bound_px=20)
        summary = import_flow(videos, store=tmp_path / "s", settings=settings, fps=30)
        assert (summary.done, summary.skipped, summary.failed) == (2, 0, {})
        assert summary.layouts == {layout: 2} and summary.fields == COUNT + 3
        assert not summary.warnings
        store = FlowStore.open(tmp_path / "s")
        clip = store.clip("v_a [x]#1", "forward")
        assert np.abs(clip.fields() - flow).max() < TOLERANCE_PX
        assert np.abs(clip.fields() - flow).mean() < 0.08
        assert clip.header.method == "imported" and clip.header.fps == 30
        assert clip.header.parameters == {"bound_px": 20}
        assert clip.header.source_name.startswith(layout)
        assert len(store.clip("b.c", "forward")) == 3
        if "gpu_flow" in name:
            assert not store.has("b.c", "rgb")
        else:
            got = store.clip("v_a [x]#1", "rgb").frames()
            assert got.shape == rgb.shape and np.abs(got.astype(int) - rgb).max() < 6

    def test_again_does_nothing(self, name: str, tmp_path: Path) -> None:
        LAYOUTS[name][1](tmp_path / "in", "v", fields(), pictures(COUNT + 1))
        brought_in(tmp_path / "in", tmp_path / "s")
        summary = import_flow(
            find_flow(tmp_path / "in"),
            store=tmp_path / "s",
            settings=import_settings(bound_px=20),
        )
        assert (summary.done, summary.skipped, summary.fields) == (0, 1, 0)

    def test_lossless_keeps_every_code(self, name: str, tmp_path: Path) -> None:
        """The store's own coding adds nothing: values lie on the classic grid, JPEG noise aside."""
        LAYOUTS[name][1](tmp_path / "in", "v", fields(2), pictures(3))
        store = brought_in(tmp_path / "in", tmp_path / "s", codec="lossless")
        got = store.clip("v", "forward").fields()
        if name != "gpu_flow":
            codes = (got + 20) / STEP_PX
            np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)
        assert np.abs(got - fields(2)).max() < STEP_PX / 2 + 0.2


class TestLayoutDetails:
    def test_one_video_alone(self, tmp_path: Path, shared_data: Path) -> None:
        """The folder of one video: its name is the video's; its flow breaks off early."""
        store = tmp_path / "s"
        folder = shared_data / "robustness" / "rawframes"
        summary = import_flow(find_flow(folder), store=store, settings=import_settings(bound_px=20))
        assert "5 fields but 10 frames" in summary.warnings["rawframes"]
        clip = FlowStore.open(store).clip("rawframes", "forward")
        assert (len(clip), clip.header.height, clip.header.width) == (5, 240, 320)
        assert "5 fields but 10" in str(clip.header.warning)
        picture = cv2.imread(str(folder / "x_00003.jpg"), cv2.IMREAD_GRAYSCALE)
        expected = picture / 255 * 40 - 20
        assert np.abs(clip.fields(2, 3)[0, 0] - expected).mean() < 0.1

    def test_backward_and_two_steps(self, tmp_path: Path) -> None:
        flow, back = fields(), -fields(seed=3)
        write = flat("flow_{axis}_{n:05}.jpg", 0)
        write(tmp_path / "a", "v", flow, pictures(COUNT + 1))
        flat("flow_{axis}_m1_{n:05}.jpg", 0)(tmp_path / "a", "v", back, pictures(0))
        store = brought_in(tmp_path / "a", tmp_path / "s")
        assert np.abs(store.clip("v", "backward").fields() - back).max() < TOLERANCE_PX
        assert np.abs(store.clip("v", "forward").fields() - flow).max() < TOLERANCE_PX

        flat("flow_{axis}_p2_{n:05}.jpg", 0)(tmp_path / "b", "v", flow[:5], pictures(7))
        store = brought_in(tmp_path / "b", tmp_path / "s2")
        clip = store.clip("v", "forward")
        assert clip.header.fps == 12.5  # two frames a field: half the rate
        assert np.abs(clip.fields() - flow[[0, 2, 4]]).max() < TOLERANCE_PX
        shades = store.clip("v", "rgb").frames()[:, 0, 0, 1].astype(int)
        np.testing.assert_allclose(shades, [20, 70, 120, 170], atol=4)

    def test_class_folders_and_links(self, tmp_path: Path) -> None:
        for layout, name in (("denseflow", "d"), ("feichtenhofer", "f"), ("gpu_flow inside", "g")):
            for video in ("jump/a", "walk/a"):
                LAYOUTS[layout][1](tmp_path / name, video, fields(2), pictures(3))
            videos = find_flow(tmp_path / name)
            assert [video.name for video in videos] == ["jump/a", "walk/a"]
        (tmp_path / "d" / "loop").symlink_to(tmp_path / "d", target_is_directory=True)
        (tmp_path / "e").mkdir()
        (tmp_path / "e" / "linked").symlink_to(tmp_path / "d" / "walk", target_is_directory=True)
        assert [video.name for video in find_flow(tmp_path / "e")] == ["linked/a"]
        assert len(find_flow(tmp_path / "d")) == 2

    def test_frames_of_ffmpeg_from_one_beside_flow_from_zero(self, tmp_path: Path) -> None:
        flat("flow_{axis}_{n:05}.jpg", 0)(tmp_path / "in", "v", fields(), pictures(0))
        for i, frame in enumerate(pictures(COUNT + 1)):
            save(tmp_path / "in" / "v" / f"img_{i + 1:05}.jpg", frame[..., ::-1])
        store = brought_in(tmp_path / "in", tmp_path / "s")
        assert len(store.clip("v", "rgb")) == COUNT + 1

    def test_shrinking_scales_the_values(self, tmp_path: Path) -> None:
        LAYOUTS["tsn"][1](tmp_path / "in", "v", fields(), pictures(COUNT + 1))
        store = brought_in(tmp_path / "in", tmp_path / "s", short_side=20)
        clip = store.clip("v", "forward")
        assert (clip.header.height, clip.header.width) == (20, 28)
        wanted = fields()[:, :, ::2, ::2] / 2
        assert np.abs(clip.fields() - wanted).mean() < 0.3
        assert store.clip("v", "rgb").frames().shape == (COUNT + 1, 20, 28, 3)

    def test_each_component_scales_with_its_own_side(self, tmp_path: Path) -> None:
        """40 x 50 px to 7 x 9: by .175 down and by .18 to the right."""
        flow = np.full((2, 2, 40, 50), 10, np.float32)
        LAYOUTS["tsn"][1](tmp_path / "in", "v", flow, pictures(0))
        store = brought_in(tmp_path / "in", tmp_path / "s", short_side=7, codec="lossless")
        x, y = store.clip("v", "forward").fields()[0]
        assert x.shape == (7, 9)
        np.testing.assert_allclose(y / x, 0.175 / 0.18, rtol=1e-4)

    def test_another_bound_is_another_store(self, tmp_path: Path) -> None:
        LAYOUTS["denseflow"][1](tmp_path / "in", "v", fields(), pictures(COUNT + 1))
        brought_in(tmp_path / "in", tmp_path / "s")
        with pytest.raises(StoreError, match=r"parameters is {'bound_px': 20\.0}, wanted"):
            import_flow(
                find_flow(tmp_path / "in"),
                store=tmp_path / "s",
                settings=import_settings(bound_px=32),
            )
        store = tmp_path / "s32"
        import_flow(find_flow(tmp_path / "in"), store=store, settings=import_settings(bound_px=32))
        got = FlowStore.open(store).clip("v", "forward").fields()
        assert np.abs(got - 1.6 * fields()).mean() < 0.2

    def test_what_was_added_is_imported_again(self, tmp_path: Path) -> None:
        LAYOUTS["tsn"][1](tmp_path / "in", "v", fields(3), pictures(4))
        brought_in(tmp_path / "in", tmp_path / "s")
        LAYOUTS["tsn"][1](tmp_path / "in", "v", fields(5), pictures(6))
        assert len(brought_in(tmp_path / "in", tmp_path / "s").clip("v", "forward")) == 5


def tsn(root: Path) -> Path:
    LAYOUTS["tsn"][1](root, "v_a", fields(), pictures(COUNT + 1))
    return root / "v_a"


class TestBadFolders:
    @pytest.mark.parametrize(
        ("spoil", "sentence"),
        [
            (lambda v: (v / "flow_y_00003.jpg").unlink(), "flow x 3 has no flow y 3"),
            (lambda v: (v / "flow_x_00004.jpg").unlink(), "flow y 4 has no flow x 4"),
            (
                lambda v: [(v / f"flow_{a}_00003.jpg").unlink() for a in "xy"],
                "flow x 3 is missing (the numbers go from 1 to 6)",
            ),
            (lambda v: (v / "img_00002.jpg").unlink(), "frame 2 is missing"),
            (
                lambda v: [(v / f"flow_{a}_0000{n}.jpg").unlink() for a in "xy" for n in (1, 2)],
                "the flow numbers start at 3, expected 0 or 1",
            ),
            (
                lambda v: save(v / "flow_y_00005.jpg", np.zeros((40, 58), np.uint8)),
                "flow_y_00005.jpg has 58x40 px, but those before have 56x40 px",
            ),
            (
                lambda v: (v / "flow_x_00002.jpg").write_bytes(b"x"),
                "flow_x_00002.jpg cannot be dec",
            ),
            (lambda v: (v / "img_00002.jpg").write_bytes(b""), "img_00002.jpg cannot be decoded"),
            (
                lambda v: shutil.copy(v / "flow_x_00002.jpg", v / "flow_x_2.jpg"),
                "x 2 is there twice",
            ),
        ],
    )
    def test_one_sentence_each(
        self, spoil: Callable[[Path], object], sentence: str, tmp_path: Path
    ) -> None:
        spoil(tsn(tmp_path / "in"))
        assert sentence in failure(tmp_path / "in", tmp_path / "s")
        assert [p.name for p in (tmp_path / "s").rglob("*") if p.is_file()] == ["store.json"]

    def test_the_others_are_imported(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tsn(tmp_path / "in") / "flow_x_00003.jpg").unlink()
        LAYOUTS["tsn"][1](tmp_path / "in", "v_b", fields(), pictures(COUNT + 1))
        (tmp_path / "in" / "v_c").mkdir()
        (tmp_path / "in" / "v_c" / "flow_x.zip").write_bytes(b"no zip")
        store = str(tmp_path / "s")
        assert run(["import-flow", str(tmp_path / "in"), "--store", store, "--json"]) == 1
        captured = capsys.readouterr()
        result = json.loads(captured.out.splitlines()[-1])
        assert (result["done"], result["failed"]) == (1, 2)
        assert result["failures"]["v_a"] == "flow y 3 has no flow x 3"
        assert "flow_x.zip cannot be read" in result["failures"]["v_c"]
        assert "+-20 px" in captured.err and "Traceback" not in captured.err

    def test_nothing_there(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(DataError, match="does not exist"):
            find_flow(tmp_path / "none")
        save(tmp_path / "pictures" / "img_00001.jpg", np.zeros((9, 9), np.uint8))
        save(tmp_path / "frames" / "frame000001.jpg", np.zeros((9, 9), np.uint8))
        with pytest.raises(
            DataError, match=r"holds no flow that is known: expected .*flow_x_00001"
        ):
            find_flow(tmp_path)
        assert run(["import-flow", str(tmp_path), "--store", str(tmp_path / "s")]) == 1
        assert not (tmp_path / "s").exists()
        assert "holds no flow that is known" in capsys.readouterr().err

    def test_ranges_that_do_not_fit(self, tmp_path: Path) -> None:
        gpu_flow(tmp_path / "in", "v", fields(), pictures(0))
        scales = tmp_path / "in" / "x" / "v.bin"
        whole = scales.read_bytes()
        scales.write_bytes(whole[:-4])
        assert "expected four for each of the 6 fields" in failure(tmp_path / "in", tmp_path / "s")
        scales.write_bytes(np.full(4 * COUNT, np.nan, "<f4").tobytes())
        assert "ranges that are none" in failure(tmp_path / "in", tmp_path / "s")

    def test_impossible_options(self) -> None:
        for bound in (0.0, -1.0, float("nan")):
            with pytest.raises(UsageError, match="bound must be a number above 0"):
                import_settings(bound_px=bound)


def dataset(ids: dict[str, str]) -> Dataset:
    """A data set of these ids, each with its class."""
    classes = tuple(sorted(set(ids.values())))
    videos = tuple(
        LabeledVideo(video_id, Path("nowhere") / video_id, classes.index(name))
        for video_id, name in ids.items()
    )
    return Dataset("data", "list", Path("nowhere"), classes, videos)


class TestNames:
    UCF = dataset(
        {
            "Archery/v_Archery_g01_c01.avi": "Archery",
            "HandstandPushups/v_HandStandPushups_g01_c01.avi": "HandstandPushups",
            "walk/a.b [1]#.mp4": "walk",
            "walk/same.mp4": "walk",
            "Archery/same.mp4": "Archery",
        }
    )

    @pytest.mark.parametrize(
        ("folder", "video_id"),
        [
            ("v_Archery_g01_c01", "Archery/v_Archery_g01_c01.avi"),
            ("Archery/v_Archery_g01_c01", "Archery/v_Archery_g01_c01.avi"),
            ("flow/all/v_Archery_g01_c01.avi", "Archery/v_Archery_g01_c01.avi"),
            ("v_HandstandPushups_g01_c01", "HandstandPushups/v_HandStandPushups_g01_c01.avi"),
            ("a.b [1]#", "walk/a.b [1]#.mp4"),
            ("walk/same", "walk/same.mp4"),
            ("tvl1/Archery/same", "Archery/same.mp4"),
        ],
    )
    def test_matched(self, folder: str, video_id: str) -> None:
        found = match_names([folder], self.UCF)
        assert found.videos[folder].video_id == video_id
        assert len(found.without) == 4 and not found.unmatched

    @pytest.mark.parametrize(
        ("folder", "why"),
        [
            ("same", "2 videos are called so"),
            ("v_Archery_g01_c02", "no video is called so"),
            ("walk/v_Archery_g01_c01", "folder of another class"),
            ("Archery", "no video is called so"),
        ],
    )
    def test_unmatched(self, folder: str, why: str) -> None:
        assert why in match_names([folder], self.UCF).unmatched[folder]

    def test_two_folders_of_one_video(self) -> None:
        found = match_names(["v_Archery_g01_c01", "b/v_Archery_g01_c01"], self.UCF)
        assert list(found.videos) == ["v_Archery_g01_c01"]
        assert "has the flow of v_Archery_g01_c01 already" in found.unmatched["b/v_Archery_g01_c01"]

    def test_capitals_tell_apart_where_they_must(self) -> None:
        both = dataset({"a/X.avi": "a", "b/x.avi": "b"})
        assert match_names(["x"], both).videos["x"].video_id == "b/x.avi"


class TestTraining:
    def test_train_takes_an_imported_store(
        self, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Import with DATA, train and evaluate; one video has no flow, another no frames."""
        folder, store, out = tmp_path / "flow", tmp_path / "s", tmp_path / "run"
        clips = sorted(tiny_data.glob("*/*.avi"))
        for i, clip in enumerate(clips[1:]):
            frames = pictures(9 if i else 0, 72, 96)
            LAYOUTS["tsn"][1](folder, clip.stem, fields(8, i, 72, 96), frames)
        LAYOUTS["tsn"][1](folder, "stranger", fields(2), pictures(3))
        command = ["import-flow", str(folder), "--store", str(store), "--data", str(tiny_data)]
        assert run([*command, "--json"]) == 0
        captured = capsys.readouterr()
        result = json.loads(captured.out.splitlines()[-1])
        assert result["done"] == len(clips) - 1
        assert result["unmatched"] == {"stranger": "no video is called so"}
        missing = clips[0].relative_to(tiny_data).as_posix()
        assert result["without_flow"] == [missing]
        assert f"{len(clips) - 1} of {len(clips)} folders stand for" in captured.err
        opened = FlowStore.open(store)
        header = opened.clip(clips[1].relative_to(tiny_data).as_posix(), "forward").header
        assert header.fps == 25 and header.source_hash

        before = {p: p.stat().st_mtime_ns for p in store.glob("forward/**/*.clip")}
        options = ["--store", str(store), "--steps", "2", "--crop-size", "48", "--json"]
        assert run(["train", str(tiny_data), "--out", str(out), *options]) == 0
        captured = capsys.readouterr()
        unreadable = json.loads(captured.out.splitlines()[-1])["unreadable"]
        assert list(unreadable) == [missing] and "run twostream import-flow" in unreadable[missing]
        assert "holds imported flow" in captured.err
        assert {p: p.stat().st_mtime_ns for p in store.glob("forward/**/*.clip")} == before
        assert opened.has(clips[1].relative_to(tiny_data).as_posix(), "rgb")  # decoded now
        assert run(["evaluate", str(out), "--json"]) == 0
        capsys.readouterr()
        assert run(["predict", str(out), str(clips[3])]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "flow was imported and no estimator here makes it" in said

    def test_a_changed_video_is_not_taken_for_its_flow(self, tmp_path: Path) -> None:
        from twostream.extraction import extract

        video = tmp_path / "a.avi"
        video.write_bytes(b"one")
        LAYOUTS["tsn"][1](tmp_path / "in", "a", fields(), pictures(COUNT + 1))
        labeled = LabeledVideo("x/a.avi", video, 0)
        settings = import_settings(bound_px=20)
        store = tmp_path / "s"
        import_flow(
            find_flow(tmp_path / "in"), store=store, settings=settings, matched={"a": labeled}
        )
        assert extract([labeled], store=store, settings=settings).skipped == 1
        video.write_bytes(b"two")
        (why,) = extract([labeled], store=store, settings=settings).failed.values()
        assert "of another version of this file" in why
        with pytest.raises(StoreError, match="made with other settings"):
            extract([labeled], store=store, settings=StoreSettings())

    def test_without_data_the_names_are_the_ids(self, tmp_path: Path) -> None:
        from twostream.extraction import extract

        LAYOUTS["tsn"][1](tmp_path / "in", "x/a", fields(), pictures(COUNT + 1))
        brought_in(tmp_path / "in", tmp_path / "s")
        video = tmp_path / "a.avi"
        video.write_bytes(b"whatever it is")
        settings = import_settings(bound_px=20)
        labeled = LabeledVideo("x/a", video, 0)
        assert extract([labeled], store=tmp_path / "s", settings=settings).skipped == 1

    def test_wrong_options_and_data(
        self, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        LAYOUTS["tsn"][1](tmp_path / "in", "stranger", fields(), pictures(COUNT + 1))
        command = ["import-flow", str(tmp_path / "in"), "--store", str(tmp_path / "s")]
        assert run([*command, "--data", str(tiny_data)]) == 1
        assert "no folder of" in capsys.readouterr().err
        assert run([*command, "--fps", "nan"]) == UsageError.exit_status
        assert run([*command, "--bound", "0"]) == 2
        assert run([*command, "--codec", "mp3"]) == 2
        assert not (tmp_path / "s").exists()


def test_videos_and_classes_called_like_an_axis(tmp_path: Path) -> None:
    for name in ("v", "x", "walk/y"):
        feichtenhofer(tmp_path, name, fields(2), pictures(3))
    videos = {video.name: video for video in find_flow(tmp_path)}
    assert set(videos) == {"v", "x", "walk/y"}
    for video in videos.values():
        assert [place.part for place in video.places].count("rgb") == 1
    shutil.rmtree(tmp_path / "tvl1_flow" / "v" / "x")
    assert failure(tmp_path, tmp_path / "s") == "flow x 1 has no flow y 1"
    gpu_flow_inside(tmp_path / "g", "a", fields(2), pictures(0))
    gpu_flow_inside(tmp_path / "g", "b", fields(2), pictures(0))
    shutil.rmtree(tmp_path / "g" / "b" / "y")
    assert failure(tmp_path / "g", tmp_path / "s") == "flow x 0 has no flow y 0"


def replaced_by_an_older_one(path: Path, image: np.ndarray) -> None:
    """As `cp -p old/* .` does: in place, the folder's time stays, and the file's is years back."""
    folder = path.parent.stat()
    with open(path, "wb") as file:
        file.write(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
    os.utime(path, (1e9, 1e9))
    os.utime(path.parent, ns=(folder.st_atime_ns, folder.st_mtime_ns))


@pytest.mark.parametrize("made", ["now", "in the future", "by an older version"])
def test_images_that_were_replaced_by_older_ones_are_imported_again(
    tmp_path: Path, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = LAYOUTS["tsn"][1]
    write(tmp_path / "in", "v", fields(2), pictures(3))
    if made == "by an older version":  # which kept nothing of the images
        with monkeypatch.context() as patch:
            patch.setattr(FlowVideo, "fingerprint", lambda self, fps: "")
            brought_in(tmp_path / "in", tmp_path / "s")
    else:
        brought_in(tmp_path / "in", tmp_path / "s")
    if made == "in the future":
        for path in FlowStore.open(tmp_path / "s").paths():
            os.utime(path, (4e9, 4e9))
    other = np.full((40, 56), 200, np.uint8)
    replaced_by_an_older_one(tmp_path / "in" / "v" / "flow_x_00002.jpg", other)
    store = brought_in(tmp_path / "in", tmp_path / "s")
    got = store.clip("v", "forward").fields()[1, 0]
    assert np.abs(got - decode_classic(other, -20, 20)).max() < TOLERANCE_PX
    again = import_flow(
        find_flow(tmp_path / "in"), store=tmp_path / "s", settings=import_settings(bound_px=20)
    )
    assert (again.done, again.skipped) == (0, 1)
