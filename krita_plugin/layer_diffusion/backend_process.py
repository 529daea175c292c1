"""Starts the backend, finds out where it listens, and ends it.

The backend lives in an environment of its own, which the installer made and named in `backend.json` beside this file,
with the proxies and the mirror that were set in its terminal: Krita's menu starts Krita without them.
It is never run with `sys.executable`: inside Krita on Windows that is krita.exe.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from .notices import Fix, Trouble
from .translation import mark, tr

CONFIG = Path(__file__).with_name("backend.json")
START_LIMIT_S = 60.0
"""A cold disk and a virus scanner can hold the first start up for a long time."""
IDLE_MINUTES = 15
INSTALL = mark(
    "Run the installer (python3 -m installer, in Windows py -m installer) in the project's folder, then start Krita "
    "again."
)

SECOND = mark(
    "The plugin is only one half: run the installer (python3 -m installer, in Windows py -m installer) in the "
    "project's folder on this computer, then start Krita again."
)


@dataclass(frozen=True)
class Address:
    """Where a backend listens, the token it wants to see, and how an encrypted connection to it is trusted."""

    host: str
    port: int
    token: str
    is_remote: bool = False
    encrypted: bool = False
    certificate: str = ""


class BackendProcess:
    """At most one backend at a time; safe to use from several threads.

    The backend ends with this process, however that ends: it watches its standard input and the process id.
    """

    def __init__(self, log: Path, config: Path = CONFIG) -> None:
        self._log = log
        self._config = config
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._address: Address | None = None
        self._closed = False
        self.idle_minutes = IDLE_MINUTES
        """After so long without a job the models are unloaded; 0 never. The next start obeys it."""
        self.save_memory = False
        """Whether the memory of the graphics card is used as little as possible. The next start obeys it."""

    @property
    def log(self) -> Path:
        """Where the backend writes what happens."""
        return self._log

    def address(self) -> Address:
        """Return where the backend listens; start it when it does not run. Blocks for seconds then.

        Raises `Trouble` when it cannot be started.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None or self._address is None:
                self._address = self._start()
            return self._address

    def stop(self) -> None:
        """End the backend for good, without waiting: it stops when its standard input closes."""
        self._closed = True
        process = self._process
        if process is not None and process.stdin:
            process.stdin.close()

    def rest(self) -> None:
        """End the backend until `address` is asked for again, without waiting."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None and process.stdin:
            process.stdin.close()
            threading.Thread(target=process.wait, name="layer-diffusion-end", daemon=True).start()

    def _start(self) -> Address:
        python, root, variables = self._installed()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = [python, "-m", "backend", "serve", "--parent", str(os.getpid()), "--idle", str(self.idle_minutes)]
        if self.save_memory:
            command.append("--save-memory")
        try:
            with open(self._log, "wb") as log:
                self._process = subprocess.Popen(
                    command,
                    cwd=root,
                    env=_environment(root, variables),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    creationflags=subprocess.CREATE_NO_WINDOW if sys.platform == "win32" else 0,
                )
        except OSError as error:
            raise Trouble(
                tr("The backend cannot be started: {reason}.", reason=error.strerror or error), INSTALL
            ) from error
        try:
            address = self._ready(self._process)
        except Trouble:
            self._process.kill()
            self._process.wait()
            raise
        if self._closed:
            self.stop()
        return address

    def _installed(self) -> tuple[str, str, dict[str, str]]:
        try:
            config = json.loads(self._config.read_text(encoding="utf-8"))
            python, root = config["python"], config["root"]
            variables = {name: str(value) for name, value in config.get("environment", {}).items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Trouble(mark("The backend is not installed for this Krita."), SECOND) from error
        if not Path(python).exists() or not Path(root).is_dir():
            raise Trouble(mark("The backend was moved or removed after it was installed."), INSTALL)
        return python, root, variables

    def _ready(self, process: subprocess.Popen[bytes]) -> Address:
        """Wait for the one line that the backend writes when it listens."""
        lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=_read, args=(process, lines), name="layer-diffusion-backend", daemon=True).start()
        try:
            line = lines.get(timeout=START_LIMIT_S)
        except queue.Empty:
            raise Trouble(
                tr("The backend did not get ready within {seconds} seconds.", seconds=round(START_LIMIT_S)),
                tr("Try again; its log is {log}.", log=self._log),
                Fix.BACKEND,
            ) from None
        try:
            ready = json.loads(line)
            if ready["event"] == "failed":
                raise Trouble(ready["message"], ready["hint"], Fix.BACKEND)
            token = Path(ready["token_file"]).read_text(encoding="utf-8").strip()
            return Address(str(ready["host"]), int(ready["port"]), token)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Trouble(
                f"{tr('The backend could not start')}{self._last_words()}.", self._advice(), Fix.BACKEND
            ) from error

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return ""
        said = [line.strip() for line in lines if line.strip()]
        return f": {said[-1][:200].rstrip('.')}" if said else ""

    def _advice(self) -> str:
        return f"{tr(INSTALL)} {tr('The whole log is {log}.', log=self._log)}"


def _read(process: subprocess.Popen[bytes], lines: queue.Queue[bytes]) -> None:
    """Pass the first line on and go on reading, so that the backend never waits for a full pipe."""
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(b"")


def _environment(root: str, variables: dict[str, str]) -> dict[str, str]:
    """The environment without what belongs to Krita's own Python and, in an AppImage, to its libraries.

    `variables` are added where they are not set in either spelling.
    """
    mine = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE")
    environment = {key: value for key, value in os.environ.items() if key not in mine}
    bundle = environment.get("APPDIR")
    if bundle:
        for key in ("LD_LIBRARY_PATH", "PATH"):
            kept = [part for part in environment.get(key, "").split(os.pathsep) if part and not part.startswith(bundle)]
            environment[key] = os.pathsep.join(kept)
    present = {name.upper() for name in environment}
    environment.update({name: value for name, value in variables.items() if name.upper() not in present})
    environment.update(PYTHONPATH=root, PYTHONUTF8="1")
    return environment
