"""Headless Chromium, driven through chromedriver: WebDriver is JSON over HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from waiting import GENEROUS, wait_for

from e2e.harness import environment, free_port, lack, need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AXE = "4.14.1"


class Browser:
    """One window."""

    def __init__(self, port: int, options: dict[str, object]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3 * GENEROUS)
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._session = ""
        self._session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

        self._devtools("Network.enable")
        self._devtools("Network.setCacheDisabled", cacheDisabled=True)  # pages change between two looks

    def resize(self, width: int, height: int, *, phone: bool) -> None:
        self._devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )  # fmt: skip

    def prefer(self, scheme: str) -> None:
        """Prefer "light" or "dark"."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._devtools("Emulation.setEmulatedMedia", features=[feature])

    def open(self, url: str) -> None:
        """Load a page and all that belongs to it."""
        self._ask("POST", f"/session/{self._session}/url", {"url": url})

    def run_on_every_page(self, script: str) -> None:
        """Run a script before any of a page's own, whatever the page's policy."""
        self._devtools("Page.addScriptToEvaluateOnNewDocument", source=script)

    def evaluate(self, script: str) -> Any:  # noqa: ANN401 - whatever the script returns
        return self._ask("POST", f"/session/{self._session}/execute/sync", {"script": f"return {script}", "args": []})

    def press(self, key: str) -> None:
        """Press and release a key, such as "Tab"."""
        codes = {"Tab": 9, "Enter": 13}
        for kind in ("rawKeyDown", "char", "keyUp") if key == "Enter" else ("rawKeyDown", "keyUp"):
            text = {"text": "\r"} if kind == "char" else {}
            self._devtools("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=codes[key], **text)

    def type(self, text: str) -> None:
        """Put text where the focus is, as an input method does."""
        self._devtools("Input.insertText", text=text)

    def check_accessibility(self, source: str) -> list[str]:
        """What axe-core says is wrong with the page, or may be; `source` is the program's text.

        The driver brings it in: the pages' own policy lets no script run.
        """
        if self.evaluate("typeof window.axe") == "undefined":
            self.evaluate(f"(() => {{ {source}\n }})()")
        found = self.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{violation['id']}: {violation['help']}: {node['html'][:200]}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    def errors(self) -> list[str]:
        """What the console says is wrong, but for pictures that cannot be reached."""
        found = self._ask("POST", f"/session/{self._session}/se/log", {"type": "browser"})
        return [line["message"] for line in found if line["level"] != "INFO" and line["source"] != "network"]

    def screenshot(self) -> bytes:
        return base64.b64decode(self._devtools("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        self._ask("DELETE", f"/session/{self._session}")
        self._connection.close()

    def _devtools(self, method: str, **parameters: object) -> Any:  # noqa: ANN401 - whatever the method answers
        return self._ask("POST", f"/session/{self._session}/goog/cdp/execute", {"cmd": method, "params": parameters})

    def _ask(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:  # noqa: ANN401 - JSON
        self._connection.request(method, path, None if body is None else json.dumps(body))
        answer = self._connection.getresponse()
        value = json.loads(answer.read())["value"]
        assert answer.status == http.client.OK, value
        return value


@contextmanager
def browsing(home: Path, *flags: str) -> Iterator[Browser]:
    """A browser with a fresh profile until the block ends."""
    chromium, driver = need("chromium"), need("chromedriver")
    port = free_port()
    arguments = ["--headless=new", "--no-proxy-server", "--disable-background-networking", "--no-first-run", *flags]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # it has none for root
    process = subprocess.Popen(
        [driver, f"--port={port}"],
        env=environment(HOME=str(home)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: _answers(port))
        browser = Browser(port, {"binary": chromium, "args": [*arguments, f"--user-data-dir={home / 'profile'}"]})
        try:
            yield browser
        finally:
            browser.close()
    finally:
        process.terminate()
        process.wait(GENEROUS)


def install_axe(folder: Path) -> str:
    """The text of axe-core, taken from npm into `folder`."""
    npm = need("npm")
    done = subprocess.run(
        [npm, "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", f"axe-core@{AXE}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * GENEROUS,
    )
    program = folder / "node_modules" / "axe-core" / "axe.min.js"
    if done.returncode != 0 or not program.exists():
        lack(f"npm cannot install axe-core: {done.stderr.strip()[-300:]}")
    return program.read_text("utf-8")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", "/status")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()
