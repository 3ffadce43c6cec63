"""Putting images into a registry over its HTTP API, many at a time."""

import http.client
import json
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lab.twin.errors import TwinError
from lab.twin.images import MANIFEST_TYPE, Image, Layer, digest
from lab.twin.patience import patience

_AT_A_TIME = 8
_PATIENCE = 20.0


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass
class Registry:
    """A registry that speaks plain HTTP. Each thread has a connection of its own."""

    host: str
    port: int
    _threads: threading.local = field(default_factory=threading.local)

    def digest_of(self, repository: str, tag: str) -> str | None:
        """The digest that the tag stands for, None where there is no such tag."""
        answer = self._ask("HEAD", f"/v2/{repository}/manifests/{tag}", accept=MANIFEST_TYPE)
        return answer.headers["Docker-Content-Digest"] if answer.status == http.client.OK else None

    def push(self, layer: Layer, images: Iterable[Image]) -> int:
        """Brings every tag to the digest of its image and returns how many were not there yet.

        Raises TwinError where the registry refuses something.
        """
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            wanted = list(images)
            known = pool.map(lambda image: self.digest_of(image.repository, image.tag), wanted)
            missing = [image for image, found in zip(wanted, known, strict=True) if found != image.digest]
            if not missing:
                return 0
            origin = wanted[0].repository
            self._put_blob(origin, layer.compressed)
            repositories = {image.repository for image in missing} - {origin}
            list(pool.map(lambda repository: self._borrow(repository, layer, origin), repositories))
            list(pool.map(self._put_image, missing))
        return len(missing)

    def delete_tag(self, repository: str, tag: str) -> None:
        """Removes what the tag stands for, and with it every tag of the same digest. Raises TwinError if absent."""
        found = self.digest_of(repository, tag)
        if not found:
            raise TwinError(f"the registry has no {repository}:{tag}")
        self._expect(http.client.ACCEPTED, "DELETE", f"/v2/{repository}/manifests/{found}")

    def _put_image(self, image: Image) -> None:
        self._put_blob(image.repository, image.config)
        path = f"/v2/{image.repository}/manifests/{image.tag}"
        self._expect(http.client.CREATED, "PUT", path, image.manifest, MANIFEST_TYPE)

    def _put_blob(self, repository: str, content: bytes) -> None:
        begun = self._expect(http.client.ACCEPTED, "POST", f"/v2/{repository}/blobs/uploads/")
        place = urlsplit(begun.headers["Location"])
        path = f"{place.path}?{place.query}&digest={digest(content)}"
        self._expect(http.client.CREATED, "PUT", path, content, "application/octet-stream")

    def _borrow(self, repository: str, layer: Layer, origin: str) -> None:
        query = f"mount={digest(layer.compressed)}&from={origin}"
        self._expect(http.client.CREATED, "POST", f"/v2/{repository}/blobs/uploads/?{query}")

    def _expect(self, status: int, method: str, path: str, body: bytes = b"", kind: str = "") -> _Answer:
        answer = self._ask(method, path, body, kind)
        if answer.status != status:
            raise TwinError(f"the registry answered {answer.status} to {method} {path}: {_reason(answer)}")
        return answer

    def _ask(self, method: str, path: str, body: bytes = b"", kind: str = "", accept: str = "*/*") -> _Answer:
        if not hasattr(self._threads, "connection"):
            self._threads.connection = http.client.HTTPConnection(self.host, self.port, timeout=patience(_PATIENCE))
        connection: http.client.HTTPConnection = self._threads.connection
        headers = {"Accept": accept, "Content-Length": str(len(body))} | ({"Content-Type": kind} if kind else {})
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return _Answer(status=answer.status, headers=answer.headers, body=answer.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise TwinError(f"the registry at {self.host}:{self.port} does not answer: {error}") from error


def _reason(answer: _Answer) -> str:
    try:
        return "; ".join(error["message"] for error in json.loads(answer.body)["errors"])
    except (ValueError, KeyError):
        return answer.body.decode(errors="replace")[:200]
