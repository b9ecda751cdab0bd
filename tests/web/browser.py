"""A real Chromium without a window, driven over its debugging pipe; tests that want one are skipped where it is not."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WORDS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--no-proxy-server", "--remote-debugging-pipe",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=520,900",
         "--hide-scrollbars")  # fmt: skip
LAUNCH = "import os, sys; [os.dup2(int(sys.argv[n]), n + 2) for n in (1, 2)]; os.execvp(sys.argv[3], sys.argv[3:])"
"""The browser reads commands from descriptor 3 and answers on 4."""
PATIENCE = 60


class Browser:
    """One tab."""

    def __init__(self) -> None:
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            pytest.skip(f"no browser is installed ({', '.join(PROGRAMS)}): apt-get install chromium")
        self._profile = tempfile.mkdtemp(prefix="tally-browser-")
        (to_read, self._write), (self._read, to_write) = os.pipe(), os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(to_read), str(to_write), program, *WORDS,
             f"--user-data-dir={self._profile}", "about:blank"],
            pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        for end in (to_read, to_write):
            os.close(end)
        self._said, self._number, self._session = b"", 0, ""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._ask("Page.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for end in (self._write, self._read):
            os.close(end)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, url: str) -> None:
        """Goes to a page, and waits for it."""
        self._ask("Page.navigate", url=url)
        self.wait_for("true")

    def wait_for(self, condition: str) -> None:
        """Waits until an expression holds on a page that is loaded."""
        until = time.monotonic() + PATIENCE
        while not self.value(f"document.readyState === 'complete' && ({condition})"):
            assert time.monotonic() < until, f"{condition} never came: {self.text()}"
            time.sleep(0.05)

    def press(self, words: str) -> None:
        """Presses the button with these words."""
        button = f"[...document.querySelectorAll('button')].find(b => b.innerText.includes({json.dumps(words)}))"
        self.wait_for(f"{button} !== undefined")
        self.value(f"{button}.click()")

    def text(self) -> str:
        """What a person reads."""
        return str(self.value("document.body ? document.body.innerText : ''"))

    def value(self, expression: str) -> Any:
        """What an expression is on the page; nothing while the page is just changing."""
        found = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, allow_error=True)
        return found.get("result", {}).get("value")

    def shown_as(self, width: int = 520, scheme: str = "light", media: str = "screen") -> None:
        """How the page is looked at: the width in pixels, light or dark, on a screen or on paper."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme_of = [{"name": "prefers-color-scheme", "value": scheme}]
        self._ask("Emulation.setEmulatedMedia", media=media, features=scheme_of)

    def speaks(self, language: str) -> None:
        """Which languages its person wants to read from now on."""
        self._ask("Network.enable")
        self._ask("Network.setExtraHTTPHeaders", headers={"Accept-Language": language})

    def picture(self, path: Path) -> None:
        """Takes a picture of the page."""
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"]))

    def _ask(self, method: str, allow_error: bool = False, **words: Any) -> dict[str, Any]:
        self._number += 1
        asked: dict[str, Any] = {"id": self._number, "method": method, "params": words}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._write, json.dumps(asked).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._number:
                assert allow_error or "error" not in told, told
                return dict(told.get("result", {}))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._said:
            part = os.read(self._read, 1 << 16)
            assert part, "the browser is gone"
            self._said += part
        one, _, self._said = self._said.partition(b"\0")
        return dict(json.loads(one))
