"""The virtual screen on which a Krita under test shows itself."""

import os
import pathlib
import subprocess
from typing import Any

SCREEN = (1600, 1000)


class HarnessError(RuntimeError):
    """The run could not be made (as opposed to: it was made and failed)."""


class Display:
    """An Xvfb on a display number of its own choosing, with a window manager.

    A window manager is needed: without one, Krita's dialogs and menus get no
    keyboard focus and showMaximized() does nothing.
    """

    def __init__(self, log_dir, size=SCREEN):
        self.log_dir = pathlib.Path(log_dir)
        self.size = size
        self.name: Any = None
        self._server = None
        self._manager = None

    def start(self):
        read_end, write_end = os.pipe()
        self._server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write_end), "-nolisten", "tcp", "-dpi", "96",
             "-screen", "0", f"{self.size[0]}x{self.size[1]}x24"],
            pass_fds=[write_end], stdout=subprocess.DEVNULL,
            stderr=open(self.log_dir / "xvfb.log", "w"), start_new_session=True)
        os.close(write_end)
        with os.fdopen(read_end) as numbers:      # blocks until the server is ready
            number = numbers.readline().strip()
        if not number:
            raise HarnessError("Xvfb did not start; see xvfb.log")
        self.name = ":" + number
        self._manager = subprocess.Popen(
            ["openbox", "--sm-disable"], env=self.environment(),
            stdout=subprocess.DEVNULL, stderr=open(self.log_dir / "openbox.log", "w"),
            start_new_session=True)
        return self

    def environment(self):
        environment = dict(os.environ, DISPLAY=self.name)
        environment.pop("WAYLAND_DISPLAY", None)
        environment.pop("XAUTHORITY", None)
        return environment

    def tool(self, *command, timeout=30):
        """Run an X program against this display and return what it printed."""
        done = subprocess.run(command, env=self.environment(), timeout=timeout,
                              capture_output=True, text=True)
        if done.returncode or "No such key" in done.stderr:    # which xdotool takes for no failure
            raise HarnessError(f"{command[0]}: {done.stderr.strip()}")
        return done.stdout

    def screenshot(self, path):
        self.tool("import", "-window", "root", str(path))

    def stop(self):
        for process in (self._manager, self._server):
            if process and process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
