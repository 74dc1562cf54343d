"""`latentreason data get` against a server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from latentreason.config import SplitConfig
from latentreason.data import load_split
from latentreason.data.fetch import HASHES, get
from latentreason.data.sources import Source, SourceFile
from latentreason.errors import UserError

BODY = b'{"question": "one and one", "steps": [], "answer": "2"}\n'
DIGEST = hashlib.sha256(BODY).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /good, /cut (half a body, then the end), and 404 to the rest."""

    body = BODY
    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        if self.path not in ("/good.jsonl", "/cut.jsonl"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body if self.path == "/good.jsonl" else self.body[:20])

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture
def server() -> Iterator[str]:
    Handler.body, Handler.requests = BODY, 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("LATENTREASON_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LATENTREASON_DATA", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path / "cache"


def table(url: str, sha256: str | None = None) -> dict[str, Source]:
    return {"toy": Source("toy", "MIT", (SourceFile("toy/rows.jsonl", url, sha256),))}


def refused(url: str, sha256: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        get("toy", table(url, sha256))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_a_good_file_lands_in_the_cache_and_is_found_there(server, cache):
    paths = get("toy", table(f"{server}/good.jsonl", DIGEST))
    assert paths == [cache / "toy" / "rows.jsonl"]
    assert paths[0].read_bytes() == BODY
    assert files(cache) == ["rows.jsonl"]
    assert len(load_split(SplitConfig(reader="json", file="toy/rows.jsonl"))) == 1


def test_a_file_that_is_there_is_not_fetched_again(server):
    for _ in range(3):
        get("toy", table(f"{server}/good.jsonl", DIGEST))
    assert Handler.requests == 1


def test_a_damaged_file_in_the_cache_is_fetched_again(server, cache):
    get("toy", table(f"{server}/good.jsonl", DIGEST))
    (cache / "toy" / "rows.jsonl").write_bytes(BODY[:7])
    (path,) = get("toy", table(f"{server}/good.jsonl", DIGEST))
    assert path.read_bytes() == BODY


def test_a_wrong_hash_is_refused_and_leaves_nothing(server, cache):
    message = refused(f"{server}/good.jsonl", "0" * 64)
    assert f"{server}/good.jsonl: the file's sha256 is not {'0' * 64}" in message
    assert files(cache) == []


@pytest.mark.parametrize("sha256", [None, DIGEST])
def test_a_cut_connection_is_told_and_leaves_nothing(sha256, server, cache):
    assert "no connection, or it was cut; nothing was kept" in refused(
        f"{server}/cut.jsonl", sha256
    )
    assert files(cache) == []


def test_a_cut_connection_keeps_the_file_that_was_there(server, cache):
    get("toy", table(f"{server}/good.jsonl"))
    (cache / "toy" / "rows.jsonl").write_bytes(b"edited")
    refused(f"{server}/cut.jsonl")
    assert (cache / "toy" / "rows.jsonl").read_bytes() == b"edited"


def test_no_network_is_told(cache):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = refused(f"http://127.0.0.1:{port}/good.jsonl", DIGEST)
    assert "no connection" in message
    assert str(cache / "toy" / "rows.jsonl") in message
    assert files(cache) == []


def test_a_name_that_does_not_resolve_is_told(cache):
    assert "no connection" in refused("http://nowhere.invalid/good.jsonl", DIGEST)
    assert files(cache) == []


def test_a_missing_page_is_told(server, cache):
    assert "the server answers 404 Not Found" in refused(f"{server}/gone.jsonl", DIGEST)
    assert files(cache) == []


def test_without_a_known_hash_the_first_one_is_recorded_and_checked(server, cache):
    get("toy", table(f"{server}/good.jsonl"))
    assert json.loads((cache / HASHES).read_text("utf-8")) == {"toy/rows.jsonl": DIGEST}
    (cache / "toy" / "rows.jsonl").unlink()
    Handler.body = BODY + b"\n"
    message = refused(f"{server}/good.jsonl")
    assert DIGEST in message
    assert f"delete its line in {cache / HASHES}" in message
    assert files(cache) == [HASHES]
    Handler.body = BODY
    get("toy", table(f"{server}/good.jsonl"))


def test_a_cache_that_cannot_be_written_is_told(server, cache):
    cache.write_text("a file where the folder should be")
    assert "name another cache folder with LATENTREASON_CACHE" in refused(f"{server}/good.jsonl")


def test_unknown_names_come_with_the_nearest():
    with pytest.raises(UserError, match=r'data get: "prosqaa" is not known \(did you mean "prosqa'):
        get("prosqaa")


def test_a_source_without_official_file_says_what_to_do():
    with pytest.raises(UserError, match=r'nothing to fetch.*Use the generator "prontoqa"'):
        get("prontoqa")
