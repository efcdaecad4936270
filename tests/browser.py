"""A real browser for tests of pages, and a server for them."""

import functools
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from analysis.report.gallery import find_browser

NEEDED = [pytest.mark.browser, pytest.mark.usefixtures("chromium")]
"""The marks of tests that start it."""

cached_browser = functools.cache(find_browser)

DARK = "--blink-settings=preferredColorScheme=0"
LIGHT = "--blink-settings=preferredColorScheme=1"


class _Served(BaseHTTPRequestHandler):
    def __init__(self, pages: Mapping[str, tuple[str, str | None]], *args: object) -> None:
        self.pages = pages
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        html, policy = self.pages.get(self.path, ("", "default-src 'none'"))
        self.send_response(200 if html else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        if policy:
            self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        self.wfile.write(html.encode())

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextmanager
def served(pages: Mapping[str, tuple[str, str | None]]) -> Iterator[str]:
    """The address of a server of these pages: path -> HTML, and the policy of its header."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Served, pages))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def browse(profile: Path, url: str, *options: str, size: tuple[int, int]) -> subprocess.CompletedProcess[str]:
    """Open a page in a window of this size; `profile` is the browser's own folder."""
    found = cached_browser()
    assert found is not None
    quiet = "--disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
    command = [found, "--headless", "--no-sandbox", "--disable-gpu", *quiet.split(), "--hide-scrollbars"]
    command += [f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "--enable-logging=stderr"]
    done = subprocess.run([*command, *options, url], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done


def violations(log: str) -> list[str]:
    """What the page's policy blocked."""
    return [line for line in log.splitlines() if re.search(r"Content Security Policy|Blocked script", line)]


def title(dom: str) -> str:
    """The page's title, in which a script leaves what it found."""
    found = re.search(r"<title>([^<]*)</title>", dom)
    assert found is not None
    return found[1]
