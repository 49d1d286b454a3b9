"""The label page in a real browser: from nothing to a corrected time line."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser import Browser, Server, serving
from motions import FPS, write_motions

pytestmark = pytest.mark.web

RIGHT, LEFT, UP, DOWN = "\ue014", "\ue012", "\ue013", "\ue015"
CONTROL, SHIFT, ESCAPE, DELETE = "\ue009", "\ue008", "\ue00c", "\ue017"
TRAINING_SECONDS = 600.0
FRAME = 1 / FPS


class Page(Browser):
    """The label page, used as people do."""

    def __init__(self, url: str, folder: Path, **more: int) -> None:
        super().__init__(url, folder, ready=".tl-screen[aria-label^='frame at']", **more)

    def click(self, css: str, number: int = 0) -> None:
        """Click on what is there, again where it has just been replaced."""
        from selenium.common.exceptions import StaleElementReferenceException

        for _ in range(20):
            try:
                self.find(css)[number].click()
                return
            except StaleElementReferenceException:
                continue
        raise AssertionError(f"{css} does not stay")

    def keys(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def chord(self, hold: str, key: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).key_down(hold).send_keys(key).key_up(hold).perform()

    def at(self, seconds: float) -> None:
        """Wait until the frame of a time is shown."""
        self.wait("#tl-time", f"{seconds:.3f} s")

    def step(self, count: int) -> None:
        """Step frames on, or back, and wait for the last one."""
        now = float(self.text("#tl-time").split()[0])
        self.keys(*[RIGHT if count > 0 else LEFT] * abs(count))
        self.at(round(now / FRAME + count) * FRAME)

    def name(self, label: str) -> None:
        self.find("#tl-class")[0].send_keys(f"{label}\n")
        self.wait(f".tl-class[data-label='{label}']")
        self.find("#tl-screen")[0].click()

    def answer(self, text: str | None) -> None:
        """Answer the page's question; None: cancel it."""
        from selenium.webdriver.support.expected_conditions import alert_is_present
        from selenium.webdriver.support.ui import WebDriverWait

        question = WebDriverWait(self.driver, 20).until(alert_is_present())
        if text is None:
            question.dismiss()
        else:
            question.send_keys(text)
            question.accept()

    def drag(self, element: object, pixels: int) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).click_and_hold(element).move_by_offset(pixels, 0).pause(
            0.2
        ).release().perform()

    def bouts(self) -> list[str]:
        """What the bouts on the track are called, "nothing" and predictions too."""
        found = "return [...document.querySelectorAll('.tl-bout')].map((b) => b.ariaLabel)"
        return sorted(self.driver.execute_script(found))

    def until(self, met: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not met():
            assert time.monotonic() < end, (self.bouts(), self.text("body")[:400])
            time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cage"
    folder.mkdir()
    for seed, name in enumerate(("day1.avi", "day2.avi")):
        write_motions(folder / name, [(2, 4), (-2, 4), (2, 2)], seed)
    return folder


@contextmanager
def labelling(folder: Path) -> Iterator[Server]:
    runs = folder.parent / "runs"
    options = ("--label", str(folder), "--runs", str(runs), "--recipe", "quick", "--steps", "3")
    with serving(None, folder.parent, *options) as running:
        yield running
    assert "Traceback" not in running.log.read_text()


def rows(folder: Path) -> list[tuple[str, str, float, float]]:
    with (folder / "labels.csv").open() as file:
        found = [(r["path"], r["label"], r["start"], r["end"]) for r in csv.DictReader(file)]
    return [(path, label, float(start), float(end)) for path, label, start, end in found if path]


def test_bouts_by_keys_are_saved_undone_and_never_overwritten(folder: Path, tmp_path: Path) -> None:
    with labelling(folder) as server, Page(server.url, tmp_path) as page:
        page.name("right")
        page.name("left")
        page.step(5)
        page.keys("1")
        page.step(10)
        page.keys("1")  # both frames belong to it: 5 to 15
        page.wait("#tl-saved", "saved in labels.csv")
        assert page.bouts() == ["right, 0.40 to 1.28 s"]
        assert rows(folder) == [("day1.avi", "", 0.4, 1.28), ("day1.avi", "right", 0.4, 1.28)]
        page.step(5)
        page.keys("2")
        page.step(5)
        page.keys("0")  # ends the one before, and begins
        page.step(2)
        page.keys("0")
        wanted = ["left, 1.60 to 2.00 s", "nothing, 2.00 to 2.24 s", "right, 0.40 to 1.28 s"]
        page.until(lambda: page.bouts() == wanted)
        page.keys("2")
        page.step(1)
        page.keys(ESCAPE)
        assert page.bouts() == wanted
        page.chord(CONTROL, "z")
        page.chord(CONTROL, "z")
        page.until(lambda: page.bouts() == wanted[2:])
        page.until(lambda: len(rows(folder)) == 2)
        page.chord(CONTROL, "y")
        page.until(lambda: page.bouts() == [wanted[0], wanted[2]])

        with Page(server.url, tmp_path) as other:  # another tab
            assert other.bouts() == page.bouts()
            other.click(".tl-bout")
            other.wait("#tl-selected", "right 0.400 to 1.280 s")
            other.step(-1)
            other.keys("[")
            other.until(lambda: "right, 0.32 to 1.28 s" in other.bouts())
            other.wait("#tl-saved", "saved in")
            assert ("day1.avi", "right", 0.32, 1.28) in rows(folder)
            page.keys("1")
            page.step(1)
            page.keys("1")
            page.wait("#tl-conflict", "was labelled elsewhere meanwhile")
            page.picture("label-conflict")
            assert ("day1.avi", "right", 0.32, 1.28) in rows(folder)
            page.click("#tl-conflict button")  # take what is there
            page.until(lambda: page.bouts() == other.bouts())
        page.click("[aria-label='rename left']")
        page.answer("sinister")
        renamed = [wanted[0].replace("left", "sinister")]
        page.until(lambda: set(renamed) < set(page.bouts()))
        assert "left" not in {row[1] for row in rows(folder)}
        page.click("[aria-label='rename sinister']")
        page.answer(None)  # it keeps its name
        page.click(".tl-bout")
        page.keys(DELETE)
        page.until(lambda: page.bouts() == renamed)
        page.wait("#tl-saved", "saved in labels.csv")
        page.drag(page.find(".tl-lane[data-lane='1']")[0], 120)  # drawn on an empty lane
        page.until(lambda: len(page.bouts()) == 2)
        page.click("#tl-whole")
        page.until(lambda: not any(row[1] == "" for row in rows(folder)))
        left = page.bouts()
        page.driver.refresh()
        page.wait(".tl-screen[aria-label^='frame at']")
        assert page.bouts() == left and page.find("#tl-whole")[0].is_selected()
        errors = [each for each in page.errors() if "409" not in each]
        assert not errors


SLOW = """
const fetched = window.fetch;
window.fetch = async (...given) => {
  await new Promise((resolve) => { setTimeout(resolve, 1000); });
  return fetched(...given);
};
"""


def test_a_bout_lands_on_its_video_though_another_one_is_opened_meanwhile(
    folder: Path, tmp_path: Path
) -> None:
    with labelling(folder) as server, Page(server.url, tmp_path) as page:
        page.name("right")
        page.driver.execute_script(SLOW)  # frames that are not there yet are waited for
        page.drag(page.find(".tl-lane[data-lane='1']")[0], 120)
        page.click("[data-video='day2.avi']")
        page.wait("#tl-video", "day2.avi")
        assert {(row[0], row[1]) for row in rows(folder)} == {
            ("day1.avi", ""),
            ("day1.avi", "right"),
        }
        assert page.bouts() == [] and not page.errors()


def test_any_video_plays_steps_and_speeds(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.avi").write_bytes(b"no video")
    with labelling(folder) as server, Page(server.url + "#day2.avi", tmp_path) as page:
        assert page.text("#tl-video") == "day2.avi"
        page.chord(SHIFT, RIGHT)
        page.at(0.96)
        page.keys(UP, UP, " ")
        page.wait("#tl-play", "Pause")
        page.wait("#tl-play", "Play")  # at the end
        page.at(9.92)
        page.step(-2)
        page.click("[data-video='broken.avi']")
        page.wait("#tl-problem", "broken.avi: cannot be opened as a video")
        page.click("[data-video='day1.avi']")
        page.wait("#tl-video", "day1.avi")
        page.at(0)
        for width in (1280, 420):
            page.resize(width, 900)
            overflow = "return document.documentElement.scrollWidth - window.innerWidth"
            assert page.driver.execute_script(overflow) <= 0
            page.picture(f"label-{width}")


def begun(folder: Path, port: str) -> tuple[subprocess.Popen[str], str]:
    """A server that may be killed, and its address."""
    options = ["--label", str(folder), "--runs", str(folder.parent / "runs"), "--port", port]
    process = subprocess.Popen(
        [sys.executable, "-m", "twostream", "serve", *options, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["page"]


def test_a_killed_server_loses_nothing(folder: Path, tmp_path: Path) -> None:
    process, url = begun(folder, "0")
    try:
        with Page(url, tmp_path) as page:
            page.name("right")
            page.keys("1")
            page.step(3)
            page.keys("1")
            page.wait("#tl-saved", "saved in labels.csv")
            process.kill()
            process.communicate()
            page.keys("1")
            page.step(3)
            page.keys("1")
            page.wait("#tl-saved", "not saved: the server does not answer")
            wanted = ["right, 0.00 to 0.32 s", "right, 0.24 to 0.56 s"]
            assert page.bouts() == wanted and len(rows(folder)) == 2
            process, _ = begun(folder, str(urlsplit(url).port))
            page.wait("#tl-saved", "saved in labels.csv")
            assert page.bouts() == wanted and len(rows(folder)) == 3
    finally:
        process.terminate()
        process.communicate(timeout=30)


def label_by_keys(page: Page) -> None:
    """Label the first two seconds of both motions: 0 to 2 and 4 to 6 s."""
    page.keys("1")
    page.step(24)
    page.keys("1")
    page.keys(*[RIGHT] * 26)
    page.at(4.0)
    page.keys("2")
    page.step(24)
    page.keys("2")
    page.until(lambda: page.bouts() == ["left, 4.00 to 6.00 s", "right, 0.00 to 2.00 s"])
    page.wait("#tl-saved", "saved in labels.csv")


def test_from_nothing_to_a_corrected_time_line(folder: Path, tmp_path: Path) -> None:
    with labelling(folder) as server, Page(server.url, tmp_path) as page:
        page.click("#tl-train")
        page.wait("#tl-problem", "label some bouts first")
        page.name("right")
        page.name("left")
        label_by_keys(page)
        page.click("[data-video='day2.avi']")
        page.wait("#tl-video", "day2.avi")
        page.at(0)
        label_by_keys(page)

        page.click("#tl-train")
        page.wait("#tl-train", "Stop")
        page.click("#tl-train")
        page.wait("#tl-trained", "The training was stopped.", seconds=TRAINING_SECONDS)
        page.click("#tl-train")
        page.wait("#tl-trained", "is trained. It tells", seconds=TRAINING_SECONDS)
        page.wait("#tl-run", "predictions are of run-")
        page.wait("[data-video='day2.avi'] span", "predicted", seconds=TRAINING_SECONDS)
        page.wait("[data-video='day1.avi'] span", "predicted", seconds=TRAINING_SECONDS)
        page.wait("#tl-unsure", "of 2 of 2 videos")

        # between two classes something always leads: all time without a label has a prediction
        guesses = [each for each in page.bouts() if each.startswith("predicted")]
        assert guesses and not any(" 0.00 to" in each for each in guesses)
        proposal = page.wait("#tl-proposals button")
        where, seconds = (
            proposal.get_attribute("data-video"),
            proposal.get_attribute("data-seconds"),
        )
        page.click("#tl-proposals button")
        page.wait("#tl-video", where)
        page.at(int(float(seconds) / FRAME + 0.01) * FRAME)
        page.picture("label-predictions")

        page.wait(".tl-predicted .tl-bout")
        first = page.find(".tl-predicted .tl-bout")[0]
        said = first.get_attribute("aria-label").removeprefix("predicted ").rpartition(",")[0]
        page.click(".tl-predicted .tl-bout")
        page.wait("#tl-selected", "sure")
        page.keys("a")
        page.until(lambda: said in page.bouts())
        label, start, end = said.split(",")[0], *map(float, re.findall(r"[\d.]+", said))

        def ends() -> list[float]:
            mine = [row[1:] for row in rows(folder) if row[0] == where]
            return [
                last for name, first, last in mine if name == label and abs(first - start) < 0.01
            ]

        page.until(lambda: ends() == [pytest.approx(end, abs=0.01)])
        page.drag(page.find(f".tl-bout[aria-label='{said}'] i[data-edge='end']")[0], -40)
        page.until(lambda: ends()[0] < end - 0.02)
        assert ends()[0] / FRAME == pytest.approx(round(ends()[0] / FRAME))  # whole frames
        page.click("#tl-selected button", -1)  # accept all that is left
        page.until(lambda: not page.find(".tl-predicted .tl-bout"))
        refused = "422"  # the training of nothing
        assert not [each for each in page.errors() if refused not in each]
        results = [*(tmp_path / "runs").glob("run-*/results.json")]
        assert len(results) == 1 and json.loads(results[0].read_text())["classes"]
        corrected_line = page.bouts()
        page.click("#tl-update")  # what was corrected, in new last layers
        page.wait("#tl-trained", "its last layers had not seen", seconds=TRAINING_SECONDS)
        page.until(lambda: "run-1" not in page.find("#tl-run")[0].text)
        page.wait("[data-video='day2.avi'] span", "predicted", seconds=TRAINING_SECONDS)
    with labelling(folder) as server, Page(server.url + f"#{where}", tmp_path) as page:
        assert [each for each in page.bouts() if "predicted" not in each] == corrected_line
        page.wait("#tl-run", "predictions are of run-")  # kept, without a training
