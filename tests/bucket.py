"""A bucket: moto's S3 server in this process, each request held for a while, and what was asked of it counted."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

NAME = "bucket"
LOGIN = {"AWS_ACCESS_KEY_ID": "ann", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass
class Bucket:
    """An S3 at `url` with one empty bucket. A request takes `delay` seconds more than it needs."""

    delay: float = 0.0
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    most: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def forget(self) -> None:
        """Begin to count anew."""
        self.asked, self.most = [], 0

    def of(self, method: str) -> list[str]:
        """The paths that were asked for by this method, in the order in which that was."""
        return [path for one, path in self.asked if one == method]

    def wrap(self, app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """The application, with each request counted from its first byte to its last."""

        def held(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            with self._lock:
                self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
                self._now += 1
                self.most = max(self.most, self._now)
            try:
                time.sleep(self.delay)
                return list(app(environ, start))
            finally:
                with self._lock:
                    self._now -= 1

        return held


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def bucket(delay: float = 0.0) -> Iterator[Bucket]:
    """A server of S3 with an empty bucket, until the block ends."""
    made = Bucket(delay)
    app = made.wrap(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)  # type: ignore[arg-type]
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        import boto3

        names = {"aws_access_key_id": "ann", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=made.url, **names).create_bucket(Bucket=NAME)
        made.forget()
        yield made
    finally:
        server.shutdown()
        thread.join()
