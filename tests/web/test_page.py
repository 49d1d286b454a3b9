"""The page in a real browser: what a visitor sees, also when it goes wrong."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, Server, serving

from twostream.video import VideoWriter
from untrained import CLASSES, make_model, save_run

pytestmark = pytest.mark.web


@pytest.fixture(autouse=True)
def no_traceback(server: Server) -> Iterator[None]:
    before = len(server.log.read_text())
    yield
    assert "Traceback" not in server.log.read_text()[before:]


def moment(browser: Browser) -> float:
    return float(browser.find("#ts-moment")[0].get_attribute("data-seconds"))


def test_a_video_gives_a_label_pictures_bars_and_a_time_line(
    browser: Browser, server: Server, clip: Path
) -> None:
    browser.send(clip)
    browser.wait("#ts-moment")
    label = browser.text("#ts-label").split()[0]
    assert label in CLASSES
    assert label in browser.text("#ts-why")
    assert clip.name in browser.text(".ts-head")  # <b> is text, not bold
    assert [figure.text for figure in browser.find("#ts-moment figcaption")] == [
        "frame",
        "flow: colour is direction",
        "where appearance looked",
        "where motion looked",
    ]
    for image in browser.find("#ts-moment img"):
        shown = "return arguments[0].complete && arguments[0].naturalWidth"
        assert browser.driver.execute_script(shown, image) > 100
    assert len(browser.find(".ts-class")) == 6 and len(browser.find(".ts-bar")) == 18
    assert len(browser.find(".ts-track .ts-row")) == 3

    before = browser.find("#ts-moment img")[0].get_attribute("src")
    browser.click_track(0.9)
    browser.wait("#ts-moment h3", "At 2.1")
    assert moment(browser) == pytest.approx(0.9 * 2.4, abs=0.05)
    assert browser.find("#ts-moment img")[0].get_attribute("src") != before
    browser.click_track(0.1)
    browser.wait("#ts-moment h3", "At 0.2")
    browser.find(".ts-track")[0].send_keys("\ue014")  # arrow right
    browser.wait("#ts-moment h3", "At 0.4")

    for width in (1280, 420):
        browser.resize(width, 900)
        overflow = "return document.documentElement.scrollWidth - window.innerWidth"
        assert browser.driver.execute_script(overflow) <= 0
        browser.picture(f"page-{width}")
    assert not browser.errors()
    hosts = [url for url in browser.requests() if url.startswith(("http:", "https:", "ws"))]
    assert hosts and all(url.startswith(server.url) for url in hosts)
    assert not server.files()


@pytest.mark.parametrize("kind", ["text named .mp4", "cut video", "empty file"])
def test_what_is_no_video_is_one_sentence(
    browser: Browser, server: Server, clip: Path, tmp_path: Path, kind: str
) -> None:
    sent = tmp_path / "sent.mp4"
    content = {"text named .mp4": b"not a video\n", "empty file": b""}
    sent.write_bytes(content.get(kind, clip.read_bytes()[:300]))
    browser.send(sent)
    if kind == "empty file":
        browser.wait("#ts-said", "sent.mp4: the file is empty")
    else:
        words = browser.wait("#ts-problem").text
        assert words.startswith("sent.mp4: ") and str(server.temporary) not in words
    assert not server.files()
    browser.send(clip)  # and it goes on
    browser.wait("#ts-moment")
    assert not browser.find("#ts-problem")


def test_a_file_over_the_limit_is_not_sent(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(1_000_001))
    browser.requests()
    browser.send(large)
    browser.wait("#ts-said", "large.mp4 is larger than 1 MB: cut it")
    assert not [url for url in browser.requests() if "upload" in url]
    browser.picture("over-the-limit")


def test_two_visitors_at_once_with_the_same_file(
    browser: Browser, server: Server, clip: Path, tmp_path: Path
) -> None:
    with Browser(server.url, tmp_path) as other:
        for each in (browser, other):
            each.send(clip)
        for each in (browser, other):
            each.wait("#ts-moment")
        assert browser.text("#ts-label") == other.text("#ts-label")
        browser.click_track(0.9)
        browser.wait("#ts-moment h3", "At 2.1")
        assert moment(other) < 2  # a visitor's clicks are his own
    assert not server.files()


def test_progress_is_shown_and_another_video_takes_over(
    browser: Browser, server: Server, clip: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long.avi"
    slope = np.add.outer(np.arange(240), np.arange(320))[..., None].repeat(3, axis=2)
    with VideoWriter(long, fps=25, width=320, height=240) as writer:
        for i in range(490):
            writer.write(((slope + i) % 256).astype(np.uint8))
    browser.send(long)
    browser.wait("#ts-result", "frames and flow")
    share = "const bar = document.querySelector('progress'); return bar.value / bar.max"
    assert 0 <= browser.driver.execute_script(share) < 1
    browser.picture("working")
    browser.send(clip)
    browser.wait("#ts-moment")
    assert clip.name in browser.text(".ts-head") and clip.name in browser.text("#ts-said")
    end = time.monotonic() + 30
    while server.files() and time.monotonic() < end:
        time.sleep(0.1)
    assert not server.files()  # of the one that nobody waits for, too
    assert clip.name in browser.text(".ts-head")
    assert not browser.errors()


def test_names_are_text(clip: Path, tmp_path: Path) -> None:
    classes = tuple(f"<img src=x onerror=alert({i})>" for i in range(3))
    run = save_run(tmp_path / "<b>run", [make_model(None, classes=classes)])
    (tmp_path / "<i>.avi").write_bytes(clip.read_bytes())
    with (
        serving(run, tmp_path, "--video", str(tmp_path / "<i>.avi")) as running,
        Browser(running.url, tmp_path) as browser,
    ):
        assert "<b>run" in browser.text("#ts-run") and classes[2] in browser.text("#ts-run")
        (option,) = browser.find("select option[value='0']")
        assert option.text == "<i>.avi"
        option.click()
        browser.wait("#ts-moment")
        assert browser.text("#ts-label").startswith("<img src=x")
        assert len(browser.find("#ts-moment img")) == 2  # its own
        assert not browser.errors()


def test_a_visitor_who_leaves_takes_nothing_down(web_run: Path, clip: Path, tmp_path: Path) -> None:
    with serving(web_run, tmp_path, "--time-limit", "4") as running:
        with Browser(running.url, tmp_path) as gone:
            gone.send(clip)
        with Browser(running.url, tmp_path) as next_one:
            next_one.send(clip)
            next_one.wait("#ts-moment")
        end = time.monotonic() + 30
        while running.files() and time.monotonic() < end:
            time.sleep(0.1)
        assert not running.files()  # of an upload that nobody waited for, too


def test_videos_of_the_server_can_be_picked(web_run: Path, clip: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(clip, videos / "own.avi")
    with (
        serving(web_run, tmp_path, "--video", str(videos)) as running,
        Browser(running.url, tmp_path) as browser,
    ):
        (option,) = browser.find("select option[value='0']")
        assert option.text == "own.avi"
        option.click()
        browser.wait("#ts-moment")
        assert "own.avi" in browser.text(".ts-head")
    assert (videos / "own.avi").is_file()


def test_an_export_says_that_it_cannot_tell_where_it_looked(
    web_run: Path, clip: Path, tmp_path: Path
) -> None:
    from twostream.export import export_onnx

    export_onnx(web_run, tmp_path / "onnx")
    with (
        serving(tmp_path / "onnx", tmp_path) as running,
        Browser(running.url, tmp_path) as browser,
    ):
        browser.send(clip)
        browser.wait("#ts-moment", "an export has no gradients")
        assert len(browser.find("#ts-moment img")) == 2


def test_a_password_is_asked_for(web_run: Path, clip: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("anna:per-sé\n")
    with (
        serving(web_run, tmp_path, "--auth-file", str(secret)) as running,
        Browser(running.url, tmp_path, who="anna:per-s%C3%A9") as browser,
    ):
        browser.send(clip)
        browser.wait("#ts-moment")
    assert "per-s" not in (tmp_path / "server.log").read_text()


def test_many_at_once_wait_for_each_other(browser: Browser, server: Server, clip: Path) -> None:
    """More programs than places: all get the same answer, and the page goes on beside them."""
    import httpx

    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(
            httpx.post(f"{server.url}/api/predict", content=clip.read_bytes(), timeout=60)
        )

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    browser.send(clip)
    browser.wait("#ts-moment")
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len({answer.text for answer in answers}) == 1
