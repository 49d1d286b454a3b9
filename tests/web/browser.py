"""A real browser, and a server of its own process, for the tests of the page."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

WAIT_SECONDS = 60.0
PICTURES = Path(os.environ.get("TWOSTREAM_PICTURES", "build/pictures"))
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def find_chromium() -> tuple[str, str]:
    """Return browser and driver; a machine without them is told what is missing."""
    found = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in found:
        pytest.fail("the page is tested in a browser: apt-get install chromium chromium-driver")
    return found[0], found[1]  # type: ignore[return-value]


class Browser:
    """Chromium, driven by what people do: choose a file, look, click."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        width: int = 1280,
        who: str = "",
        ready: str = "#ts-send:not([hidden]) #ts-file",
    ) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        chromium, driver = find_chromium()
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (*FLAGS, f"--user-data-dir={folder / f'profile-{time.monotonic_ns()}'}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.resize(width, 1000)
        if who:  # the browser remembers; a page's own requests must not name a user
            self.driver.get(url.replace("://", f"://{who}@"))
        self.driver.get(url)
        self.wait(ready)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.driver.quit()

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def find(self, css: str) -> list[Any]:
        return self.driver.find_elements("css selector", css)

    def text(self, css: str) -> str:
        (element,) = self.find(css)
        return element.text

    def wait(self, css: str, text: str = "", *, seconds: float = WAIT_SECONDS) -> Any:
        """Wait for an element that holds a text, and return it."""
        from selenium.common.exceptions import StaleElementReferenceException

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                for element in self.find(css):
                    if text in element.text:
                        return element
            except StaleElementReferenceException:
                pass  # replaced while we looked
            time.sleep(0.05)
        raise AssertionError(f"no {css} with {text!r}; the page says: {self.text('body')[:600]}")

    def send(self, file: Path) -> None:
        """Choose a file, as people do."""
        self.find("#ts-file")[0].send_keys(str(file))

    def click_track(self, share: float) -> None:
        """Click on the time line at a share of its length."""
        from selenium.webdriver import ActionChains

        row = self.find(".ts-track .ts-row > div")[0]
        offset = round((share - 0.5) * row.size["width"])
        ActionChains(self.driver).move_to_element_with_offset(row, offset, 0).click().perform()

    def picture(self, name: str) -> Path:
        """Write a picture of the whole page."""
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        width = self.driver.execute_script("return window.innerWidth")
        self.resize(width, max(600, height))
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        assert self.driver.save_screenshot(str(path))
        return path

    def requests(self) -> list[str]:
        """Return the addresses that the page has asked for since the last call."""
        messages = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def errors(self) -> list[str]:
        """Return what the browser complained of since the last call."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]


class Server:
    """A running ``twostream serve``.

    Attributes:
        url: of the page.
        temporary: the folder that its temporary files go to.
        log: what it says on standard error.
    """

    def __init__(
        self, process: subprocess.Popen[str], url: str, temporary: Path, log: Path
    ) -> None:
        self.log = log
        self.process = process
        self.url = url
        self.temporary = temporary

    def files(self) -> list[Path]:
        """Return its temporary files, but the one that tells others that it lives."""
        found = [path for path in self.temporary.rglob("*") if not path.is_dir()]
        return [path for path in found if path.name != ".lock"]


@contextmanager
def serving(
    run: Path | None, folder: Path, *options: str, stop: signal.Signals = signal.SIGINT
) -> Iterator[Server]:
    """Run ``twostream serve`` as people do, stop it as Ctrl-C does, and see what it leaves."""
    named = [] if run is None else [str(run)]
    temporary = folder / f"tmp-{time.monotonic_ns()}"
    temporary.mkdir(parents=True)
    log = folder / "server.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "twostream", "serve", *named, "--port", "0", "--json"]
            + ["--accelerator", "cpu", *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        yield Server(process, json.loads(line)["page"], temporary, log)
        assert process.poll() is None, log.read_text()
    finally:
        process.send_signal(stop)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.communicate(timeout=30)  # the output ends when no child holds it any more
    left = [path.name for path in temporary.iterdir() if "twostream" in path.name]
    assert not left
    assert process.returncode == 0, log.read_text()


def main(run: str, video: str, out: str) -> None:
    """Write the picture of docs/use.md: python tests/web/browser.py RUN VIDEO docs/page.png."""
    import tempfile

    from PIL import Image

    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(run), Path(folder)) as running,
        Browser(running.url, Path(folder), width=1000) as browser,
    ):
        browser.send(Path(video).resolve())
        browser.wait("#ts-moment")
        picture = Image.open(browser.picture("docs"))
    picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
