"""An S3 service whose every answer takes 20 ms longer: moto's server in a process of its own, which counts requests.

    python -m benchmarks.large_stores.slow_bucket

prints the address of its endpoint, and serves until its standard input ends. `GET /-/counts` answers with what was
asked for since the last such question.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

BUCKET: Final = "scale"
DELAY_S: Final = 0.02
COUNTS: Final = "/-/counts"
_KEYS: Final = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


class Slow:
    """A WSGI application that answers as another one does, later, and counts requests and bytes of answers."""

    def __init__(self, application: Any) -> None:  # noqa: ANN401 - moto has no types
        self._application = application
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:  # noqa: ANN401 - of WSGI
        """The answer to a request."""
        if environ["PATH_INFO"] == COUNTS:
            with self._lock:
                found, self._counts = self._counts, Counter()
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(found).encode()]
        time.sleep(DELAY_S)
        parts = list(self._application(environ, start_response))
        with self._lock:
            self._counts[environ["REQUEST_METHOD"]] += 1
            self._counts["bytes"] += sum(map(len, parts))
        return parts


@contextlib.contextmanager
def serving(folder: str) -> Iterator[str]:
    """The endpoint of a service with a copy of a store in its bucket, for the block."""
    command = [sys.executable, "-m", "benchmarks.large_stores.slow_bucket"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        try:
            endpoint = server.stdout.readline().strip()
            _upload(folder, endpoint)
            counts(endpoint)
            yield endpoint
        finally:
            server.stdin.close()


def environment(endpoint: str) -> dict[str, str]:
    """The environment variables by which a process reaches it."""
    return {**os.environ, **_KEYS, "AWS_ENDPOINT_URL": endpoint}


def counts(endpoint: str) -> dict[str, int]:
    """The requests by method, and the bytes of their answers, since the last question."""
    with urllib.request.urlopen(endpoint + COUNTS) as answer:  # noqa: S310 - this program's own server
        found: dict[str, int] = json.load(answer)
    return found


def _upload(folder: str, endpoint: str) -> None:
    from pyarrow import fs  # noqa: PLC0415 - not for the server

    s3 = fs.S3FileSystem(
        access_key=_KEYS["AWS_ACCESS_KEY_ID"],
        secret_key=_KEYS["AWS_SECRET_ACCESS_KEY"],
        scheme="http",
        endpoint_override=endpoint.removeprefix("http://"),
        region="us-east-1",
        allow_bucket_creation=True,
    )
    s3.create_dir(BUCKET)

    def put(path: Path) -> None:
        with s3.open_output_stream(f"{BUCKET}/{path.relative_to(folder)}") as stream:
            stream.write(path.read_bytes())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, Path(folder).rglob("*.parquet")))


def _serve() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415 - a second's import
    from werkzeug.serving import make_server  # noqa: PLC0415 - likewise

    server = make_server("127.0.0.1", 0, Slow(DomainDispatcherApplication(create_backend_app)), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    _serve()
