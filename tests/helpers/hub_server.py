"""A Hub on the loopback: the part of its HTTP API that the real clients use to create, fill and read repositories.

    with HubServer(tmp_path) as hub:
        subprocess.run(command, env=os.environ | hub.environment(tmp_path / "home"))

The clients read the endpoint and the token when they are imported, so they run as processes of their own. Written from
the client's requests; what it does not ask for is not there.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

LARGE_SUFFIXES = (".safetensors", ".parquet", ".arrow", ".png", ".jpg", ".onnx", ".data")
DATE = "2026-01-01T00:00:00.000Z"
USER = "me"


@dataclass
class File:
    content: bytes
    is_large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def known_as(self) -> str:
        """The hash by which the Hub tells a client that it has the file."""
        return self.sha256 if self.is_large else self.oid

    def entry(self, path: str) -> dict[str, Any]:
        entry = {"type": "file", "path": path, "size": len(self.content), "oid": self.oid}
        if self.is_large:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": 134}
        return entry


@dataclass
class Repo:
    """A repository: the files of every commit; the last is the head of main."""

    private: bool
    commits: list[dict[str, File]] = field(default_factory=lambda: [{}])
    titles: list[str] = field(default_factory=lambda: ["initial commit"])

    @property
    def files(self) -> dict[str, File]:
        return self.commits[-1]

    def commit_id(self, index: int = -1) -> str:
        number = index % len(self.commits)
        return hashlib.sha1(f"{id(self)}/{number}".encode()).hexdigest()

    def at(self, revision: str | None) -> tuple[str, dict[str, File]]:
        if revision in (None, "main", "refs/heads/main"):
            return self.commit_id(), self.files
        for index, files in enumerate(self.commits):
            if self.commit_id(index) == revision:
                return revision, files
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code = status, code


class HubServer:
    """`repos` by "datasets/me/letters"; `requests` is a log of (method, path, status).

    What goes wrong on a real one can be asked for: `before(method, path)` is called with each request and may wait;
    the paths in `loses` are not kept by a commit.
    """

    def __init__(self, token: str = "hf_of-the-loopback"):
        self.token = token
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}  # what was uploaded, by SHA-256
        self.requests: list[tuple[str, str, int]] = []
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.loses: set[str] = set()
        self.lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """What a client needs to talk to this Hub alone, with caches of its own."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_TOKEN": token or self.token,
            "HF_HOME": str(home),
            "HF_DATASETS_CACHE": str(home / "datasets"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }

    def repo(self, kind: str, name: str) -> Repo:
        if f"{kind}/{name}" not in self.repos:
            raise Refusal(404, "RepoNotFound", "Repository not found")
        return self.repos[f"{kind}/{name}"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def log_message(self, *_: object) -> None:
        """Nothing on the screen: `HubServer.requests` is the log."""

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        self.body = self._read() if self.command in ("POST", "PUT", "DELETE") else b""
        self.hub.before(self.command, url.path)
        try:
            with self.hub.lock:
                answer = self._route(url.path)
            if answer is not None:
                self.answer(200, json.dumps(answer).encode())
        except ConnectionError:  # the client is gone
            self.close_connection = True
        except Refusal as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": str(refusal)}
            self.answer(refusal.status, json.dumps({"error": str(refusal)}).encode(), headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.hub.requests.append((self.command, unquote(urlsplit(self.path).path), status))
        if self.command != "HEAD":
            self.wfile.write(content)

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _route(self, path: str) -> Any:
        for method, pattern, needs_token, action in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and self.command in method:
                if needs_token and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
                    raise Refusal(401, "", "Invalid username or password.")
                groups = {key: value and unquote(value) for key, value in found.groupdict().items()}
                self._check_readable(groups)
                return action(self, **groups)
        raise Refusal(404, "RepoNotFound", f"no route {self.command} {path}")

    def _check_readable(self, groups: dict[str, str | None]) -> None:
        """A private repository is there only for its owner."""
        repo = self.hub.repos.get(f"{groups.get('kind') or 'models'}/{groups.get('name')}")
        if repo is not None and repo.private and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            raise Refusal(401, "RepoNotFound", "Repository not found")


def _who(_: _Handler) -> dict[str, Any]:
    token = {"type": "access_token", "accessToken": {"displayName": "test", "role": "write"}}
    return {"type": "user", "name": USER, "fullname": USER, "orgs": [], "auth": token}


def _check_card(_: _Handler) -> dict[str, Any]:
    return {"errors": [], "warnings": []}


def _create(request: _Handler) -> dict[str, Any] | None:
    wanted = json.loads(request.body)
    kind, name = f"{wanted.get('type') or 'model'}s", f"{wanted.get('organization') or USER}/{wanted['name']}"
    url = f"{request.hub.endpoint}/{'' if kind == 'models' else kind + '/'}{name}"
    if name.split("/")[0] != USER:
        raise Refusal(403, "", f"You don't have the rights to create a {kind[:-1]} under {name.split('/')[0]}")
    if f"{kind}/{name}" in request.hub.repos:
        request.answer(409, json.dumps({"error": "You already created this repo", "url": url}).encode())
        return None
    request.hub.repos[f"{kind}/{name}"] = Repo(bool(wanted.get("private")) or wanted.get("visibility") == "private")
    return {"url": url, "name": name, "id": name}


def _info(request: _Handler, kind: str, name: str, revision: str | None = None) -> dict[str, Any]:
    repo = request.hub.repo(kind, name)
    commit, files = repo.at(revision)
    card = files.get("README.md")
    head = re.match(rb"---\n(.*?)\n---", card.content, re.DOTALL) if card else None
    return {
        "_id": name, "id": name, "modelId": name, "author": name.split("/")[0], "sha": commit, "private": repo.private,
        "lastModified": DATE, "createdAt": DATE, "gated": False, "disabled": False, "downloads": 0, "likes": 0,
        "tags": [], "cardData": yaml.safe_load(head[1]) if head else {},
        "siblings": [{"rfilename": path, "size": file.entry(path)["size"]} for path, file in files.items()],
    }  # fmt: skip


def _refs(request: _Handler, kind: str, name: str) -> dict[str, Any]:
    head = request.hub.repo(kind, name).commit_id()
    return {"branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": head}], "tags": [], "converts": []}


def _tree(request: _Handler, kind: str, name: str, revision: str, folder: str | None) -> list[dict[str, Any]]:
    _, files = request.hub.repo(kind, name).at(revision)
    inside = {path: file for path, file in files.items() if not folder or path.startswith(f"{folder.strip('/')}/")}
    if folder and not inside:
        raise Refusal(404, "EntryNotFound", f"{folder} does not exist")
    folders = {str(parent) for path in inside for parent in PurePosixPath(path).parents} - {".", folder}
    listed = [{"type": "directory", "path": path, "size": 0, "oid": path} for path in sorted(folders)]
    listed += [file.entry(path) for path, file in sorted(inside.items())]
    if request.query.get("recursive", "").lower() in ("true", "1"):
        return listed
    depth = len(PurePosixPath(folder or "").parts) + 1
    return [entry for entry in listed if len(PurePosixPath(entry["path"]).parts) == depth]


def _paths(request: _Handler, kind: str, name: str, revision: str) -> list[dict[str, Any]]:
    _, files = request.hub.repo(kind, name).at(revision)
    is_json = "json" in request.headers.get("Content-Type", "")
    asked = json.loads(request.body)["paths"] if is_json else parse_qs(request.body.decode()).get("paths", [])
    return [files[path].entry(path) for path in asked if path in files]


def _before_upload(request: _Handler, kind: str, name: str, revision: str) -> dict[str, Any]:
    _, files = request.hub.repo(kind, name).at(revision)
    return {
        "files": [
            {
                "path": asked["path"],
                "shouldIgnore": False,
                "oid": files[asked["path"]].known_as if asked["path"] in files else None,
                "uploadMode": "lfs" if asked["path"].endswith(LARGE_SUFFIXES) else "regular",
            }
            for asked in json.loads(request.body)["files"]
        ]
    }


def _large_batch(request: _Handler, kind: str | None, name: str) -> dict[str, Any]:
    request.hub.repo(kind or "models", name)
    objects = []
    for wanted in json.loads(request.body)["objects"]:
        place = f"{request.hub.endpoint}/large/{wanted['oid']}"
        upload = {"upload": {"href": place}, "verify": {"href": f"{place}/verify"}}
        objects.append(wanted if wanted["oid"] in request.hub.large else {**wanted, "actions": upload})
    return {"transfer": "basic", "objects": objects}


def _large_put(request: _Handler, oid: str) -> None:
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise Refusal(400, "", "sha256 mismatch")
    request.hub.large[oid] = request.body
    request.answer(200, b"")


def _large_verify(request: _Handler, oid: str) -> dict[str, Any]:
    if len(request.hub.large.get(oid, b"")) != json.loads(request.body)["size"]:
        raise Refusal(422, "", "object missing or of another size")
    return {}


def _commit(request: _Handler, kind: str, name: str, revision: str) -> dict[str, Any]:
    repo = request.hub.repo(kind, name)
    head, files = repo.at(revision)
    files, title = dict(files), ""
    for line in request.body.splitlines():
        item = json.loads(line)
        value = item["value"]
        if value.get("path") in request.hub.loses:
            continue
        if item["key"] == "header":
            title = value["summary"]
            if value.get("parentCommit") not in (None, head):
                raise Refusal(412, "", "A commit has happened since. Please refresh and try again.")
        elif item["key"] == "file":
            files[value["path"]] = File(base64.b64decode(value["content"]), False)
        elif item["key"] == "lfsFile":
            if value["oid"] not in request.hub.large:
                raise Refusal(400, "", f"object {value['oid']} was never uploaded")
            files[value["path"]] = File(request.hub.large[value["oid"]], True)
        elif item["key"] == "deletedFile":
            del files[value["path"]]
    repo.commits.append(files)
    repo.titles.append(title)
    url = f"{request.hub.endpoint}/{'' if kind == 'models' else kind + '/'}{name}/commit/{repo.commit_id()}"
    return {"success": True, "commitOid": repo.commit_id(), "commitUrl": url, "hookOutput": ""}


def _download(request: _Handler, kind: str | None, name: str, revision: str, path: str) -> None:
    commit, files = request.hub.repo(kind or "models", name).at(revision)
    if path not in files:
        raise Refusal(404, "EntryNotFound", "Entry not found")
    file = files[path]
    tag = f'"{file.known_as}"'
    headers = {"X-Repo-Commit": commit, "ETag": tag, "Accept-Ranges": "bytes"}
    if file.is_large:
        headers |= {"X-Linked-Etag": tag, "X-Linked-Size": str(len(file.content))}
    content, status = file.content, 200
    if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", "")):
        first, last = int(asked[1]), min(int(asked[2] or len(content) - 1), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        content, status = content[first : last + 1], 206
    request.answer(status, content, headers)


_API = r"/api/(?P<kind>models|datasets)/(?P<name>[\w.-]+/[\w.-]+)"
_WEB = r"/(?:(?P<kind>datasets)/)?(?P<name>[\w.-]+/[\w.-]+)"
_REVISION = r"/(?P<revision>[^/]+)"
ROUTES: list[tuple[tuple[str, ...], str, bool, Callable[..., Any]]] = [
    (("GET",), r"/api/whoami-v2", True, _who),
    (("POST",), r"/api/validate-yaml", False, _check_card),
    (("POST",), r"/api/repos/create", True, _create),
    (("POST",), _API + "/preupload" + _REVISION, True, _before_upload),
    (("POST",), _API + "/commit" + _REVISION, True, _commit),
    (("POST",), _API + "/paths-info" + _REVISION, False, _paths),
    (("GET",), _API + "/tree" + _REVISION + r"(?:/(?P<folder>.*))?", False, _tree),
    (("GET",), _API + "/refs", False, _refs),
    (("GET",), _API + r"(?:/revision/(?P<revision>[^/]+))?", False, _info),
    (("POST",), _WEB + r"\.git/info/lfs/objects/batch", True, _large_batch),
    (("PUT",), r"/large/(?P<oid>[0-9a-f]{64})", False, _large_put),
    (("POST",), r"/large/(?P<oid>[0-9a-f]{64})/verify", False, _large_verify),
    (("GET", "HEAD"), _WEB + "/resolve" + _REVISION + r"/(?P<path>.+)", False, _download),
]
