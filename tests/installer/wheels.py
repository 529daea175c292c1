"""Small stand-ins for the packages that the backend needs, as real wheels, and an index with faults for them."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import threading
import urllib.parse
import zipfile
from collections.abc import Iterator
from pathlib import Path

MODULES = {
    "torch": "torch",
    "diffusers": "diffusers",
    "transformers": "transformers",
    "huggingface_hub": "huggingface_hub",
    "safetensors": "safetensors",
    "websockets": "websockets",
    "pillow": "PIL",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
}
"""The module that each package of pyproject.toml brings."""
INDIRECT = "tokenizers"
"""A package that another one requires."""
CARRIED = "15.0.1"
"""The release of websockets that the plugin carries."""


def wheel(folder: Path, name: str, version: str, module: str, text: str = "", requires: str = "") -> Path:
    """Write a wheel whose only module holds `text`, and that requires another package, "" for none."""
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    info = f"{stem}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{module}/__init__.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if name == "websockets":
        files["websockets/version.py"] = f'tag = version = commit = "{version}"\n'
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
        record = [f"{member},,{len(content)}\n" for member, content in files.items()]
        archive.writestr(f"{info}/RECORD", "".join([*record, f"{info}/RECORD,,\n"]))
    return path


def needed(folder: Path, requirements: list[str], torch: str = "") -> Path:
    """Write a wheel for each requirement in its oldest release, torch with a local version; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for requirement in requirements:
        name, version = re.findall(r"[\w.-]+", requirement)[:2]
        requires = INDIRECT if name == "transformers" else ""
        wheel(folder, name, version + (torch if name == "torch" else ""), MODULES[name], requires=requires)
    wheel(folder, INDIRECT, "1.0", INDIRECT)
    wheel(folder, "websockets", CARRIED, "websockets")
    return folder


class Fault:
    """What goes wrong with a file: "" nothing, "503", "cut" after half of it, "hash" a wrong one is announced.

    With "stall" half of a file comes and `reached` is set; nothing more comes until the client has gone. `name` is how
    the names of the files begin with which it goes wrong. `asked` lists the files that were asked for.
    """

    def __init__(self, kind: str = "", name: str = "") -> None:
        self.kind = kind
        self.name = name
        self.reached = threading.Event()
        self.asked: list[str] = []


@contextlib.contextmanager
def index(folder: Path, fault: Fault) -> Iterator[str]:
    """Serve the wheels of a folder as a package index; yield its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/files/"):
                self._file(folder / urllib.parse.unquote(self.path.rpartition("/")[2]))
            else:
                self._links(self.path.strip("/").rpartition("/")[2])

        def _links(self, name: str) -> None:
            wheels = [path for path in folder.glob("*.whl") if path.name.partition("-")[0] == name.replace("-", "_")]
            if not wheels:
                self.send_error(404)
                return
            hashes = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels}
            if fault.kind == "hash":
                hashes = dict.fromkeys(wheels, "0" * 64)
            links = [f'<a href="/files/{path.name}#sha256={hashes[path]}">{path.name}</a>' for path in wheels]
            self._answer("\n".join(links).encode(), "text/html")

        def _file(self, path: Path) -> None:
            fault.asked.append(path.name)
            if fault.kind == "503":
                self.send_error(503)
                return
            cut = fault.kind in ("cut", "stall") and path.name.startswith(fault.name)
            self._answer(path.read_bytes(), "application/octet-stream", cut)
            if cut and fault.kind == "stall":
                fault.reached.set()
                self.rfile.read(1)

        def _answer(self, body: bytes, kind: str, cut: bool = False) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if not kind.startswith("text/"):
                # As the real one lets them be kept.
                self.send_header("Cache-Control", "max-age=365000000, immutable, public")
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()
