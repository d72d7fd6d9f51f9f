"""A Hugging Face Hub on loopback: as much of its protocol as a download and an upload need."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from huggingface_hub import constants


class Hub:
    """What the server holds, how it misbehaves, and what it was asked.

    Attributes:
        repos: repo id -> commit (40 hex) -> path -> content.
        asked: "METHOD /path" of every request, in order.
        breaks_after: bytes after which a download's connection drops; None: never.
        corrupts: whether downloads have their last byte changed.
    """

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}
        self.uploaded: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.breaks_after: int | None = None
        self.corrupts = False
        self.url = ""

    def commit(self, repo_id: str, files: dict[str, bytes]) -> str:
        """Add a commit with ``files`` on top of the last one and return its id."""
        history = self.repos.setdefault(repo_id, {})
        last = list(history.values())[-1] if history else {}
        oid = hashlib.sha1(f"{repo_id}{len(history)}".encode()).hexdigest()
        history[oid] = {**last, **files}
        return oid


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *arguments) -> None:
        pass

    def _answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _answer_json(self, value) -> None:
        self._answer(200, json.dumps(value).encode(), Content_Type="application/json")

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def do_HEAD(self) -> None:
        self._serve_file()

    def do_GET(self) -> None:
        self._serve_file()

    def _serve_file(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        repo_id, _, rest = path.strip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        if repo_id not in self.hub.repos:
            return self._answer(404, X_Error_Code="RepoNotFound")
        history = self.hub.repos[repo_id]
        commit = list(history)[-1] if revision == "main" else revision
        if commit not in history:
            return self._answer(404, X_Error_Code="RevisionNotFound")
        if name not in history[commit]:
            return self._answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        content = history[commit][name]
        headers = {"X_Repo_Commit": commit, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        if self.hub.corrupts:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if self.command == "GET" and self.hub.breaks_after is not None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: self.hub.breaks_after])
            self.close_connection = True
            return None
        return self._answer(200, content, **headers)

    def do_POST(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"POST {path}")
        content = self._read()
        if path == "/api/repos/create":
            name = json.loads(content)
            repo_id = "/".join(filter(None, (name.get("organization"), name["name"])))
            self.hub.repos.setdefault(repo_id, {})
            return self._answer_json({"url": f"{self.hub.url}/{repo_id}"})
        if path == "/api/validate-yaml":
            return self._answer_json({"errors": [], "warnings": []})
        if "/preupload/" in path:
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(content)["files"]
            ]
            return self._answer_json({"files": files})
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                {
                    "oid": wanted["oid"],
                    "size": wanted["size"],
                    "actions": {
                        "upload": {"href": f"{self.hub.url}/store/{wanted['oid']}"},
                        "verify": {"href": f"{self.hub.url}/verify"},
                    },
                }
                for wanted in json.loads(content)["objects"]
            ]
            return self._answer_json({"transfer": "basic", "objects": objects})
        if path == "/verify":
            wanted = json.loads(content)
            is_here = len(self.hub.uploaded.get(wanted["oid"], b"")) == wanted["size"]
            return self._answer(200 if is_here else 400)
        if path.startswith("/api/models/") and "/commit/" in path:
            repo_id = path.removeprefix("/api/models/").partition("/commit/")[0]
            files = {}
            for line in content.splitlines():
                item = json.loads(line)
                value = item["value"]
                if item["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif item["key"] == "lfsFile":
                    files[value["path"]] = self.hub.uploaded[value["oid"]]
            oid = self.hub.commit(repo_id, files)
            url = f"{self.hub.url}/{repo_id}/commit/{oid}"
            return self._answer_json({"success": True, "commitOid": oid, "commitUrl": url})
        return self._answer(404)

    def do_PUT(self) -> None:
        path = urlsplit(self.path).path
        self.hub.asked.append(f"PUT {path}")
        content = self._read()
        oid = path.rsplit("/", 1)[-1]
        if hashlib.sha256(content).hexdigest() != oid:
            return self._answer(400)
        self.hub.uploaded[oid] = content
        return self._answer(200)


@contextmanager
def serve():
    """Run a :class:`Hub` for the length of a ``with`` block."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def use(url: str, home: Path, monkeypatch) -> None:
    """Point the Hub's client, which reads its settings when imported, to ``url`` and ``home``."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
