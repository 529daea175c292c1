"""The stand-in's models: two bundles of three files, models of the person, and a download that goes on by itself.

It goes as far as half while a file `slow` lies in the working folder. What came is written down at once, so that it is
there for the next process.
"""

import json
import threading
from pathlib import Path

from protocol import messages
from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.library import BundleInfo, Download, FileInfo, FileState, OwnModel, Work

SIZES = {"layer_one.safetensors": 1_200_000_000, "layer_two.safetensors": 800_000_000, "base.safetensors": 6_900_000}
ELSEWHERE = "base.safetensors"
BUNDLES = (
    BundleInfo("sdxl-object", "SDXL, small: a checkpoint and transparent objects", tuple(SIZES)),
    BundleInfo("sdxl-layers", "SDXL layers: all operations, for checkpoints that you have", tuple(SIZES)[:2]),
)
OWN = OwnModel("old", "", "/home/me/models/checkpoints", "This checkpoint is pickled. Convert it to safetensors.")
FOUND = OwnModel("turbo", "sdxl", "/home/me/ComfyUI/models", "Made for few steps: edges of alpha come out hard.")
MEMORY, WAITING = Path("came.json"), Path("waiting.json")
STEP = 100_000_000


class Library:
    """What can be installed; `tell` sends a message to the docker."""

    def __init__(self, tell):
        self.tell = tell
        self.came = {**dict.fromkeys(SIZES, 0), ELSEWHERE: SIZES[ELSEWHERE]}
        if MEMORY.exists():
            self.came.update(json.loads(MEMORY.read_text(encoding="utf-8")))
        self.waiting = tuple(json.loads(WAITING.read_text(encoding="utf-8"))) if WAITING.exists() else ()
        self.download: Download | None = None
        self.models = (OWN,)
        self.cancelled = threading.Event()
        self.unpaused = threading.Event()

    def answer(self, message):
        """Do what a message wants, if it is about files."""
        if isinstance(message, messages.ListFiles):
            self.tell(self.files())
        elif isinstance(message, messages.Install):
            self.wait_for(message.names)
            self.cancelled.clear()
            self.unpaused.set()
            threading.Thread(target=self.work, args=(message.names,), daemon=True).start()
        elif isinstance(message, (messages.PauseInstall, messages.ResumeInstall)):
            paused = isinstance(message, messages.PauseInstall)
            self.unpaused.clear() if paused else self.unpaused.set()
            if self.download is not None:
                self.show(self.download.names, paused)
        elif isinstance(message, messages.CancelInstall):
            self.cancelled.set()
            self.unpaused.set()
        elif isinstance(message, messages.VerifyFiles):
            self.tell(messages.Installing(Download(Work.VERIFY, message.names, 0, 7_000_000, 0.0, False)))
            damaged = "layer_one.safetensors is damaged."
            self.tell(messages.Installed(message.names, LayerDiffusionError(ErrorCode.BAD_CHECKPOINT, damaged)))
        elif isinstance(message, messages.ScanFiles):
            self.models = (FOUND, OWN)
            self.keep({ELSEWHERE: SIZES[ELSEWHERE]})
            self.tell(messages.Installing(Download(Work.SCAN, (), 0, 0, 0.0, False)))
            self.tell(messages.Installed((), None))
        elif isinstance(message, messages.RemoveFiles):
            self.keep({name: 0 for name in self.wanted(message.names)})
            self.tell(self.files())

    def files(self):
        """The list with its states."""
        infos = (
            FileInfo(
                name, "transparent objects", "MIT", "someone/layers", "main", "0123abcd", "sdxl", 6_000_000_000, size,
                self.came[name], self.state(name),
            )
            for name, size in SIZES.items()
        )  # fmt: skip
        waiting = () if self.download else self.waiting
        return messages.Files(BUNDLES, tuple(infos), self.models, waiting, self.download)

    def state(self, name):
        if name == ELSEWHERE:
            return FileState.ELSEWHERE if self.came[name] else FileState.MISSING
        if self.came[name] == SIZES[name]:
            return FileState.INSTALLED
        return FileState.PARTIAL if self.came[name] else FileState.MISSING

    def work(self, names):
        wanted = self.wanted(names)
        while any(self.came[name] < SIZES[name] for name in wanted) and not self.cancelled.wait(0.03):
            name = next(name for name in wanted if self.came[name] < SIZES[name])
            share = sum(self.came[one] for one in wanted) / sum(SIZES[one] for one in wanted)
            if share < 0.5 or not Path("slow").exists():
                self.keep({name: min(SIZES[name], self.came[name] + STEP)})
            self.show(names, not self.unpaused.is_set())
            self.unpaused.wait()
        self.download = None
        self.wait_for(())
        error = LayerDiffusionError(ErrorCode.CANCELLED_BY_USER) if self.cancelled.is_set() else None
        self.tell(messages.Installed(names, error))

    def show(self, names, paused):
        wanted = self.wanted(names)
        done, total = sum(self.came[name] for name in wanted), sum(SIZES[name] for name in wanted)
        self.download = Download(Work.INSTALL, names, done, total, 0.0 if paused else 25e6, paused)
        self.tell(messages.Installing(self.download))

    def wait_for(self, names):
        """Write down what was asked for, for the next process."""
        self.waiting = tuple(names)
        WAITING.write_text(json.dumps(names), encoding="utf-8")

    def keep(self, came):
        self.came.update(came)
        MEMORY.write_text(json.dumps(self.came), encoding="utf-8")

    @staticmethod
    def wanted(names):
        """The files of bundles and files, without what another program has."""
        bundles = {bundle.name: bundle.files for bundle in BUNDLES}
        return [name for each in names for name in bundles.get(each, (each,)) if name != ELSEWHERE]
