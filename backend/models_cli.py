"""`python -m backend models …`: list, install, verify, remove and find model files."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from installer.progress import state
from protocol.errors import ErrorCode, fail

from .models import folder, installed, unusable
from .models.bundles import BUNDLES, find
from .models.catalogue import BASES, CATALOGUE, RELEASED, Entry, gigabytes

BAD = 1
SECONDS_A_LINE = 0.5
"""Seconds between two updates of the progress on a terminal."""
OFFERED = (*(file for file in CATALOGUE if file.repository == RELEASED), *BASES)
"""The files that are listed; the others are conversions of these."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands of `models`."""
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("list", help="what can be installed, and what is there")
    command.set_defaults(run=_list)
    command.add_argument("--long", action="store_true", help="with each file's revision and SHA-256")
    command = commands.add_parser("install", help="download bundles or files, what other programs have excepted")
    command.set_defaults(run=_install)
    command.add_argument("names", nargs="+", metavar="NAME", help="a bundle or a file, as list shows them")
    command = commands.add_parser("verify", help="read installed files to their end and compare their SHA-256")
    command.set_defaults(run=_verify)
    command.add_argument("names", nargs="*", metavar="NAME", help="all that are there when none is given")
    command.add_argument("--repair", action="store_true", help="download again what is damaged or missing of NAME")
    command = commands.add_parser("remove", help="delete files; those of other programs are only forgotten")
    command.set_defaults(run=_remove)
    command.add_argument("names", nargs="+", metavar="NAME")
    command = commands.add_parser("scan", help="find models of other programs and use them where they are")
    command.set_defaults(run=_scan)
    command.add_argument("folders", nargs="*", type=Path, metavar="FOLDER",
                         help="the usual places of krita-ai-diffusion, ComfyUI, Forge, Automatic1111 and the "
                              "Hugging Face cache when none is given")


def _list(options: argparse.Namespace) -> int:
    from .models.install import present, unfinished

    root, begun = folder(), {file.name: size for file, size in unfinished(folder())}
    there = {file.name: present(root, file) for bundle in BUNDLES for file in bundle.files}
    there |= {file.name: present(root, file) for file in OFFERED if file.name not in there}
    print(f"Models' folder: {root}\n\nBundles:")
    for bundle in BUNDLES:
        lacking = sum(file.size for file in bundle.files if not there[file.name])
        complete = all(there[file.name] for file in bundle.files)
        state = "installed" if complete else f"{gigabytes(lacking)} to download"
        print(f"  {bundle.name:<18} {gigabytes(bundle.size):>9}  {state:<22} {bundle.purpose}")
    print("\nFiles:")
    for file in OFFERED:
        path, size = there[file.name], gigabytes(file.size)
        state = "" if not path else "installed" if path.is_relative_to(root) else f"used from {path.parent}"
        if not path and file.name in begun:
            state = f"{gigabytes(begun[file.name])} of it downloaded"
        print(f"  {file.name:<48} {size:>9}  {file.family}  {file.purpose}{f' [{state}]' if state else ''}")
        memory = f", from {gigabytes(file.memory)} of memory for a job" if file.memory else ""
        print(f"  {'':<48} {'':>9}  {file.repository}, {file.licence}{memory}")
        if options.long:
            print(f"  {'':<48} {'':>9}  revision {file.revision}, SHA-256 {file.sha256}")
    print("\nModels to choose:")
    for model in installed():
        operations = ", ".join(operation.value for operation in model.operations)
        print(f"  {model.id:<40} {model.family:<5} {operations or 'nothing yet'}")
        if model.note:
            print(f"  {'':<40} {'':<5} {model.note}")
    for model_id, reason in unusable().items():
        print(f"  {model_id:<40} no    {reason}")
    return 0


def _install(options: argparse.Namespace) -> int:
    from .models.scan import scan, usual_places

    files = find(options.names)
    others = [found for found in scan(folder(), usual_places()) if found.known]
    if others:
        print(f"Used from other programs, where they are: {len(others)} files (models scan shows them).")
    return _get(files)


def _get(files: Sequence[Entry]) -> int:
    from .models.download import hub
    from .models.install import install, missing

    root, wanted = folder(), missing(folder(), files)
    if not wanted:
        print("Everything is there already.")
        return 0
    print(f"{len(wanted)} files, {gigabytes(sum(file.size for file in wanted))}, from {hub()} into {root}:")
    for file in wanted:
        print(f"  {file.name} ({file.licence})", flush=True)
    progress = Progress(wanted)
    try:
        install(root, wanted, report=progress)
    finally:
        progress.end()
    print("Done.")
    return 0


class Progress:
    """Shows the bytes of several downloads as one line on a terminal, or as a line for each tenth elsewhere."""

    def __init__(self, files: Sequence[Entry]) -> None:
        self.total = sum(file.size for file in files)
        self.done: dict[str, int] = {}
        self.first: dict[str, int] = {}
        self.began = self.shown = time.monotonic()
        self.tenths = 0
        self.terminal = sys.stdout.isatty()

    def __call__(self, file: Entry, done: int) -> None:
        """As `install` reports."""
        self.first.setdefault(file.name, done)
        self.done[file.name] = done
        now, tenths = time.monotonic(), 10 * sum(self.done.values()) // self.total
        if now - self.shown >= SECONDS_A_LINE if self.terminal else tenths > self.tenths:
            self.shown, self.tenths = now, tenths
            print(self.line(now - self.began), end="\x1b[K\r" if self.terminal else "\n", flush=True)

    def line(self, seconds: float) -> str:
        """A bar, bytes, speed and time left after this many seconds."""
        done = sum(self.done.values())
        # What an earlier time had brought says nothing of the speed.
        return state(done, self.total, (done - sum(self.first.values())) / max(seconds, 0.001))

    def end(self) -> None:
        """Leave the line."""
        if self.terminal:
            print()


def _verify(options: argparse.Namespace) -> int:
    from .models.install import unfinished, verify

    root, files = folder(), find(options.names) if options.names else (*CATALOGUE, *BASES)
    damaged, is_any = {}, False
    for file, path, wrong in verify(root, files):
        is_any = True
        print(f"{'ok' if not wrong else 'BAD':<4} {path}{f' {wrong}.' if wrong else ''}", flush=True)
        if wrong:
            damaged[file] = path
    if not is_any:
        print(f"Nothing of {'these' if options.names else 'the catalogue'} is there. models list shows what there is.")
    for file, size in unfinished(root):
        print(f"half {file.name}: {size} bytes have come. Run models install {file.name} to get the rest.")
    if options.repair:
        return _get(find(options.names) if options.names else tuple(damaged))
    if damaged:
        print("Run models verify --repair to download the damaged files again.")
    return BAD if damaged else 0


def _remove(options: argparse.Namespace) -> int:
    from .models.install import remove

    print(f"{gigabytes(remove(folder(), find(options.names)))} freed.")
    return 0


def _scan(options: argparse.Namespace) -> int:
    from .models.scan import scan, usual_places

    for missing in (place for place in options.folders if not place.is_dir()):
        fail(ErrorCode.INVALID_REQUEST, f"There is no folder {missing}.", "Choose another one.")
    places = options.folders or usual_places()
    print(f"Looking into: {', '.join(map(str, places)) or 'nothing, no other program is in its usual place'}")
    used = 0
    for found in scan(folder(), places):
        used += found.known is not None
        print(f"{'use' if found.known else 'no':<4} {found.path}: {found.what}. {found.note}".rstrip(), flush=True)
    print(f"{used} files are used where they are.")
    return 0
