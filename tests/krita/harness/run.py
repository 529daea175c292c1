"""One run of a real Krita, driven by a script; README.md says how."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from .display import SCREEN, Display, HarnessError
from .profile import Profile

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 4
"""Factor on all time limits: they are those of a quick machine that does nothing else, and only end what has failed."""
DOUBLE_CLICK_S = 0.5
"""Two clicks on one place that come sooner are a double-click to Qt, which takes 0.4 s."""
DRIVER_PLUGIN = HERE / "driver_plugin"


class KritaRun:
    """One Krita from start to quit.

    with KritaRun(plugins=[...], driver="test.py", out="out") as run:
        result = run.wait()
    """

    def __init__(self, driver, out, plugins=(), args=None, timeout: float = 180,
                 krita="krita", chroot=None, settings=None, environment=None,
                 cache=None, keep_profile=False, size=SCREEN, binds=(), files=None,
                 shortcuts=None):
        self.driver = pathlib.Path(driver).resolve()
        self.out = pathlib.Path(out).resolve()
        self.plugin_sources = [DRIVER_PLUGIN, *plugins]
        self.args = args or {}
        self.timeout = PATIENCE * timeout
        self.krita = krita
        self.chroot = chroot
        self.settings = settings
        self.files = files or {}
        self.shortcuts = shortcuts or {}
        self.extra_environment = environment or {}
        self.template = self._template(cache) if cache else None
        self.keep_profile = keep_profile
        self.size = size
        self.binds = [str(pathlib.Path(path).resolve()) for path in binds]
        self.process: Any = None
        self.display: Any = None
        self.profile: Any = None
        self.work: Any = None
        self._last_click = (0.0, ())  # when, and on which place

    # -- life cycle --------------------------------------------------------
    def __enter__(self):
        if not self.driver.exists():
            raise HarnessError(f"no driver script {self.driver}")
        shutil.rmtree(self.out, ignore_errors=True)
        (self.out / "requests").mkdir(parents=True)
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="krita-harness-"))
        try:
            self.display = Display(self.out, self.size).start()
            self.profile = Profile(self.work)
            if self.template and self.template.exists():
                self.profile.load_resources(self.template)
            for source in self.plugin_sources:
                self.profile.install(source)
            self.profile.write_config(self.settings)
            self.profile.write_shortcuts(self.shortcuts)
            self.profile.write_files(self.files)
            self._start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exc_info):
        self._kill()
        if self.display:
            self.display.stop()
        for name in ("krita.log", "krita-sysinfo.log"):
            found = self.profile and self.profile.data / name
            if found and found.exists():
                shutil.copy(found, self.out / name)
        if self.keep_profile:
            print("profile kept in", self.work, file=sys.stderr)
        else:
            shutil.rmtree(self.work, ignore_errors=True)

    def _template(self, cache):
        """The cached resources that belong to exactly this Krita binary."""
        root = self.chroot or "/"
        inside = shutil.which(self.krita, path=os.pathsep.join(
            os.path.join(root, folder) for folder in ("usr/local/bin", "usr/bin", "bin")))
        if inside is None:
            raise HarnessError(f"no {self.krita} in {root}")
        about = os.stat(os.path.realpath(inside))
        return pathlib.Path(cache).resolve() / (f"{about.st_size:x}-{int(about.st_mtime):x}")

    def _environment(self):
        environment = self.profile.environment()
        environment.update(
            DISPLAY=self.display.name,
            KRITA_HARNESS_SCRIPT=str(self.driver),
            KRITA_HARNESS_OUT=str(self.out),
            KRITA_HARNESS_ARGS=json.dumps(self.args),
            KRITA_HARNESS_T0=repr(time.time()),
            KRITA_HARNESS_PATIENCE=str(PATIENCE),
        )
        environment.update(self.extra_environment)
        return environment

    def _start(self):
        command = ["dbus-run-session", "--", self.krita, "--nosplash"]
        if self.chroot:
            command = self._in_chroot(command, self.chroot)
        self.started = time.time()
        # A session of its own: the whole group can be ended, and nothing else.
        self.process = subprocess.Popen(
            command, env=self._environment(), cwd=str(self.work),
            stdin=subprocess.DEVNULL, stdout=open(self.out / "krita.out", "w"),
            stderr=subprocess.STDOUT, start_new_session=True)

    def _in_chroot(self, command, root):
        """The same paths inside: /proc, /dev, X's socket, our folders, the driver's.

        The mounts are made in a mount namespace of the command's own, so they
        are gone when it ends.  The network is the host's.
        """
        script = ["set -e"]
        for path in ("/proc", "/dev", "/dev/shm", "/dev/pts", "/tmp/.X11-unix",
                     str(self.work), str(self.out), str(self.driver.parent), *self.binds):
            inside = root.rstrip("/") + path
            script += [f"mkdir -p '{inside}'", f"mount --bind '{path}' '{inside}'"]
        script.append(f"exec chroot '{root}' \"$@\"")
        return ["unshare", "--mount", "--fork", "sh", "-c", "\n".join(script), "sh",
                *command]

    # -- while it runs -----------------------------------------------------
    def wait(self):
        """Serve the driver script until Krita has quit; return the results."""
        deadline = time.monotonic() + self.timeout
        timed_out = False
        while self.process.poll() is None:
            self._serve_requests()
            if time.monotonic() > deadline:
                timed_out = True
                self._explain_hang()
                break
            time.sleep(0.02)
        code = self._kill()
        path = self.out / "results.json"
        results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"status": "no start"}
        results["exit_code"] = code
        results["wall_s"] = round(time.time() - self.started, 3)
        if timed_out:
            results["status"] = "timeout"
        elif results["status"] not in ("ok", "failed"):
            results["status"] = "crashed" if code else "ended early"
        elif code and results["status"] == "ok":
            results["status"] = "crashed at exit"
        path.write_text(json.dumps(results, indent=1))
        if self.template and results["status"] == "ok" and not self.template.exists():
            self.template.parent.mkdir(parents=True, exist_ok=True)
            self.profile.save_resources(self.template)
        return results

    def _serve_requests(self):
        for ask in sorted((self.out / "requests").glob("*.ask")):
            reply = ask.with_suffix(".reply")
            if reply.exists():
                continue
            try:
                answer = dict(self._serve(json.loads(ask.read_text())) or {}, ok=True)
            except Exception as error:
                answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            partial = reply.with_suffix(".partial")
            partial.write_text(json.dumps(answer))
            partial.rename(reply)

    def _serve(self, request):
        kind = request["kind"]
        if kind == "screenshot":
            path = self.out / (request["name"] + ".png")
            self.display.screenshot(path)
            return {"path": str(path)}
        if kind in ("click", "hover"):
            # From beside it: --sync waits for a movement, 15 s when there is none.
            x, y = request["x"], request["y"]
            steps = ["xdotool", "mousemove", str(x - 3), str(y), "mousemove", "--sync", str(x), str(y)]
            if kind == "click":
                repeat = ["--repeat", "2", "--delay", "60"] if request.get("double") else []
                steps += ["click", *repeat, str(request.get("button", 1))]
            self._part_from_last_click((x, y))
            self.display.tool(*steps)
            self._last_click = (time.monotonic(), (x, y))
            return None
        if kind == "drag":
            # "hold" leaves the button down, so that a step can come mid-stroke
            (x0, y0), *rest = request["path"]
            steps = ["xdotool", "mousemove", "--sync", str(x0), str(y0), "mousedown", "1"]
            for x, y in rest:
                steps += ["sleep", "0.05", "mousemove", "--sync", str(x), str(y)]
            if not request.get("hold"):
                steps += ["mouseup", "1"]
            self.display.tool(*steps)
            return None
        if kind == "release":
            self.display.tool("xdotool", "mouseup", str(request.get("button", 1)))
            return None
        if kind == "type":
            self.display.tool("xdotool", "type", "--delay", "15", request["text"])
            return None
        if kind == "key":
            self.display.tool("xdotool", "key", *request["names"])
            return None
        if kind == "windows":
            lines = self.display.tool("wmctrl", "-l").splitlines()
            return {"windows": [line.split(None, 3)[-1] for line in lines]}
        raise ValueError(f"unknown request {kind!r}")

    def _part_from_last_click(self, place):
        """Let two single clicks on one place be two: a driver that does not wait between them is too quick for Qt."""
        when, last_place = self._last_click
        if place == last_place:
            time.sleep(max(0.0, when + DOUBLE_CLICK_S - time.monotonic()))

    # -- ending ------------------------------------------------------------
    def krita_pid(self):
        """Krita's own process, below dbus-run-session (and unshare)."""
        pids, known = [self.process.pid], set()
        while pids:
            pid = pids.pop()
            if pid in known:
                continue
            known.add(pid)
            try:
                name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
                if name.startswith("krita"):
                    return pid
                for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                    pids += [int(p) for p in (task / "children").read_text().split()]
            except (OSError, ValueError):
                pass
        return None

    def _explain_hang(self):
        """On a time-out: a picture of the screen and all Python stacks."""
        try:
            self.display.screenshot(self.out / "timeout.png")
        except Exception as error:
            print("no picture:", error, file=sys.stderr)
        pid = self.krita_pid()
        if pid:
            os.kill(pid, signal.SIGUSR1)        # faulthandler writes stacks.txt
            time.sleep(1)

    def _kill(self):
        """End our own process group, politely first; return the exit status."""
        if not self.process:
            return None
        for what in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            try:
                os.killpg(self.process.pid, what)
            except ProcessLookupError:
                break
            try:
                self.process.wait(8)
            except subprocess.TimeoutExpired:
                pass
        code = self.process.wait()
        try:                                    # a stray dbus-daemon, if any
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return code
