# Copyright 2026 The LLM-Codec for Transformers authors. Licensed under the Apache License, Version 2.0.
"""
A small stand-in for the Hugging Face Hub on loopback: it takes uploads of models and serves them.

It answers the routes that `huggingface_hub` calls to create a model repository, upload a folder (regular and LFS files,
whose SHA-256 it checks) and download files. Tests against it show how we use the client, not how the Hub behaves:
permissions, limits, branches and Xet are not here.

    with HubStandIn() as hub:
        subprocess.run(command, env={**os.environ, **hub.environment(cache_dir)})
        hub.files("user/name")  # path -> bytes
"""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "x"
_REPO = r"(?P<repo>[^/]+/[^/]+)"
# LFS by extension, as the Hub does for new repositories
_LFS = (".safetensors", ".bin", ".pth", ".npy", ".model", ".wav")


class HubStandIn:
    """
    A server in a thread, as a context manager.

    Attributes:
        url: What `HF_ENDPOINT` is to be.
        requests: `METHOD path` of every request, in order.
    """

    def __init__(self):
        self.commits = {}  # repository -> [(commit id, {path: bytes})]
        self.objects = {}  # SHA-256 -> bytes of LFS objects
        self.requests = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "HubStandIn":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()

    def environment(self, home) -> dict[str, str]:
        """Variables for a process that is to use this server, with its own empty cache."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "TRANSFORMERS_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def files(self, repo: str) -> dict[str, bytes]:
        """The files of a repository's last commit."""
        return self.commits[repo][-1][1]

    def commit(self, repo: str, files: dict[str, bytes]) -> str:
        """Adds a commit; its id is a hash of its files and place."""
        digest = hashlib.sha1(f"{repo} {len(self.commits.get(repo, []))}".encode())
        for path in sorted(files):
            digest.update(path.encode() + files[path])
        self.commits.setdefault(repo, []).append((digest.hexdigest(), files))
        return digest.hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubStandIn

    # ---- Routes: a method's name is in the table with the pattern of its path

    routes = (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/validate-yaml", "validate_yaml"),
        ("POST", r"/api/repos/create", "create_repo"),
        ("POST", rf"/api/models/{_REPO}/preupload/(?P<revision>[^/]+)", "preupload"),
        ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", "lfs_batch"),
        ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "lfs_put"),
        ("POST", rf"/api/models/{_REPO}/commit/(?P<revision>[^/]+)", "make_commit"),
        ("GET", rf"/api/models/{_REPO}", "model_info"),
        ("GET", rf"/api/models/{_REPO}/revision/(?P<revision>[^/]+)", "model_info"),
        ("GET", rf"/api/models/{_REPO}/tree/(?P<revision>[^/]+)(?P<folder>/.*)?", "tree"),
        ("GET", rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
        ("HEAD", rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
    )

    def whoami(self):
        self.answer({"type": "user", "name": "user", "orgs": []})

    def validate_yaml(self):
        card = self.body_json()["content"]
        errors = [] if card.startswith("---\n") else [{"message": "no front matter"}]
        self.answer({"errors": errors, "warnings": []}, 400 if errors else 200)

    def create_repo(self):
        request = self.body_json()
        repo = "/".join([request.get("organization") or "user", request["name"]])
        if repo in self.hub.commits:
            return self.answer({"error": "You already created this model repo", "url": f"{self.hub.url}/{repo}"}, 409)
        self.hub.commit(repo, {".gitattributes": b""})
        return self.answer({"url": f"{self.hub.url}/{repo}", "name": repo})

    def preupload(self, repo, revision):
        files = self.body_json()["files"]
        modes = ["lfs" if file["path"].endswith(_LFS) else "regular" for file in files]
        known = self.at(repo, revision)[1]
        self.answer(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": mode,
                        "shouldIgnore": False,
                        "oid": _git_oid(known[file["path"]]) if file["path"] in known else None,
                    }
                    for file, mode in zip(files, modes)
                ]
            }
        )

    def lfs_batch(self, repo):
        objects = [{"oid": item["oid"], "size": item["size"]} for item in self.body_json()["objects"]]
        for item in objects:
            if item["oid"] not in self.hub.objects:
                item["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{item['oid']}", "header": {}}}
        self.answer({"transfer": "basic", "objects": objects})

    def lfs_put(self, oid):
        content = self.body()
        if hashlib.sha256(content).hexdigest() != oid:
            return self.answer({"error": "the object's SHA-256 is another"}, 400)
        self.hub.objects[oid] = content
        return self.answer({})

    def make_commit(self, repo, revision):
        files = dict(self.at(repo, revision)[1])
        for line in self.body().splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                if len(self.hub.objects.get(value["oid"], b"")) != value["size"]:
                    return self.answer({"error": f"{value['path']}: its LFS object was not uploaded"}, 400)
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif operation["key"] != "header":
                return self.answer({"error": f"unknown operation {operation['key']}"}, 400)
        oid = self.hub.commit(repo, files)
        return self.answer({"commitUrl": f"{self.hub.url}/{repo}/commit/{oid}", "commitOid": oid, "hookOutput": ""})

    def model_info(self, repo, revision="main"):
        oid, files = self.at(repo, revision)
        siblings = [{"rfilename": path} for path in sorted(files)]
        self.answer({"_id": repo, "id": repo, "sha": oid, "private": False, "tags": [], "siblings": siblings})

    def tree(self, repo, revision, folder):
        _, files = self.at(repo, revision)
        prefix = unquote(folder or "").strip("/")
        found = {path: content for path, content in files.items() if not prefix or path.startswith(f"{prefix}/")}
        if prefix and not found:
            return self.answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        return self.answer([_entry(path, found[path]) for path in sorted(found)])

    def resolve(self, repo, revision, path):
        oid, files = self.at(repo, revision)
        headers = {"X-Repo-Commit": oid}
        if unquote(path) not in files:
            return self.answer({"error": "Entry not found"}, 404, {**headers, "X-Error-Code": "EntryNotFound"})
        content = files[unquote(path)]
        lfs = path.endswith(_LFS)
        etag = hashlib.sha256(content).hexdigest() if lfs else _git_oid(content)
        return self.answer(content, headers={**headers, "ETag": f'"{etag}"', "Accept-Ranges": "none"})

    # ---- Requests and answers

    def at(self, repo, revision):
        """A revision's commit id and files."""
        commits = self.hub.commits.get(repo, [])
        for commit in reversed(commits):
            if revision in ("main", commit[0]):
                return commit
        raise LookupError("RevisionNotFound" if commits else "RepoNotFound")

    def handle_request(self):
        path = urlsplit(self.path).path
        self.hub.requests.append(f"{self.command} {path}")
        self.received = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        write = self.command not in ("GET", "HEAD") and not path.startswith("/lfs/")  # LFS links carry their own right
        if write and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "Invalid credentials"}, 401)
        for method, pattern, name in self.routes:
            if method == self.command and (match := re.fullmatch(pattern, path)):
                try:
                    return getattr(self, name)(**match.groupdict())
                except LookupError as error:
                    return self.answer({"error": str(error)}, 404, {"X-Error-Code": str(error.args[0])})
        return self.answer({"error": f"the stand-in has no route {self.command} {path}"}, 501)

    do_GET = do_HEAD = do_POST = do_PUT = handle_request

    def body(self) -> bytes:
        return self.received

    def body_json(self):
        return json.loads(self.received)

    def answer(self, content, status=200, headers=None):
        is_file = isinstance(content, bytes)
        body = content if is_file else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if is_file else "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def _git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, content: bytes) -> dict:
    entry = {"type": "file", "path": path, "size": len(content), "oid": _git_oid(content)}
    if path.endswith(_LFS):
        oid = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 134}
    return entry
