"""Flow of other tools: every layout comes in with the right values, numbers, names and errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_layouts import (
    COUNT,
    LAYOUTS,
    STEP_PX,
    TOLERANCE_PX,
    brought_in,
    failure,
    fields,
    flat,
    gpu_flow,
    pictures,
    save,
)
from twostream.__main__ import run
from twostream.interchange import find_flow, import_flow, import_settings
from twostream.interchange.classic import decode_classic, encode_classic
from twostream.store.flow_store import FlowStore
from twostream.types import DataError, StoreError, UsageError


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
        again = import_flow(videos, store=tmp_path / "s", settings=settings, fps=30)
        assert (again.done, again.skipped, again.fields) == (0, 2, 0)
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
        left = {p.name for p in (tmp_path / "s").rglob("*") if p.is_file()}
        assert left == {"store.json", ".lock"}

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
