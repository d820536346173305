"""A bucket: moto's S3 server in this process, each request held for a while, and what was asked of it counted."""

import contextlib
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

NAME = "bucket"
CONFIG = """\
[core]
    analytics = false
    remote = store
['remote "store"']
    url = s3://bucket/dvc
    endpointurl = {url}
"""


@dataclass
class Bucket:
    """An S3 at `url` with one empty bucket. Requests take `delay` seconds more; what `loses` is taken and not kept.

    `asked` is (method, path) of each request in its order, `most` how many of a method were under way at a time.
    """

    delay: float
    url: str = ""
    loses: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    _most: Counter[str] = field(default_factory=Counter)
    _now: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def forget(self) -> None:
        """Begin to count anew."""
        self.asked.clear()
        self._most.clear()

    def of(self, method: str) -> list[str]:
        """The paths that were asked for by this method, in the order in which that was."""
        return [path for one, path in self.asked if one == method]

    def most_of(self, method: str) -> int:
        """How many requests of a method were under way at the same time, at most."""
        return self._most[method]

    def put(self, key: str, content: bytes) -> None:
        """Put an object, or other bytes in the place of one."""
        self.client().put_object(Bucket=NAME, Key=key, Body=content)

    def client(self) -> Any:
        """Somebody with a login."""
        login = {"aws_access_key_id": "ann", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.url, **login)

    def around(self, app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """The application, with each request counted from its first byte to its last."""

        def held(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
            with self._lock:
                self.asked.append((method, path))
                self._now[method] += 1
                self._most[method] = max(self._most[method], self._now[method])
            try:
                time.sleep(self.delay)
                if self.loses and method == "PUT" and "/files/md5/" in path:
                    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
                    start("200 OK", [("ETag", '"0"'), ("Content-Length", "0")])
                    return [b""]
                return list(app(environ, start))
            finally:
                with self._lock:
                    self._now[method] -= 1

        return held


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def bucket(delay: float = 0.0) -> Iterator[Bucket]:
    """A server of S3 with an empty bucket, until the block ends."""
    made = Bucket(0.0)
    app: Any = made.around(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        urllib.request.urlopen(urllib.request.Request(f"{made.url}/moto-api/reset", method="POST"))  # of one before
        made.client().create_bucket(Bucket=NAME)
        made.delay = delay
        made.forget()
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
