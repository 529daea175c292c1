"""What is said of model files and of their download, without Qt."""

from __future__ import annotations

from collections.abc import Sequence

from ..protocol.library import Download, FileInfo, FileState, OwnModel, Work
from ..protocol.messages import Files
from ..translation import mark, tr

STATES = {
    FileState.MISSING: mark("not here"),
    FileState.PARTIAL: mark("begun"),
    FileState.INSTALLED: mark("installed"),
    FileState.ELSEWHERE: mark("found"),
}
WORKS = {
    Work.INSTALL: mark("Installing: {words}"),
    Work.VERIFY: mark("Checking: {words}"),
    Work.SCAN: mark("Looking for models: {words}"),
}
OUTCOMES = {
    Work.VERIFY: mark("Checked: nothing is damaged."),
    Work.SCAN: mark("The search is over; what was found is in the list."),
}
FAMILIES = {"sd15": "SD1.5", "sdxl": "SDXL", "": mark("cannot be used")}
HERE = (FileState.INSTALLED, FileState.ELSEWHERE)
LAYERS, WITH_CHECKPOINT = "sdxl-layers", "sdxl-object"
"""Bundles of SDXL, for those who have a checkpoint and for those who have none."""


def amount(size: float) -> str:
    """Return a number of bytes as people read it, in decimal units as disks are sold."""
    if size < 999.5e3:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e6:.0f} MB" if size < 999.5e6 else f"{size / 1e9:.1f} GB"


def state_of(files: Sequence[FileInfo]) -> FileState:
    """Return what is true of files together; those that another program has are here."""
    if all(file.state in HERE for file in files):
        own = any(file.state is FileState.INSTALLED for file in files)
        return FileState.INSTALLED if own else FileState.ELSEWHERE
    is_begun = any(file.state is not FileState.MISSING for file in files)
    return FileState.PARTIAL if is_begun else FileState.MISSING


def state_text(files: Sequence[FileInfo]) -> str:
    """Say where files are and, of some that have come in part, how much is there."""
    state = state_of(files)
    if state is not FileState.PARTIAL:
        return tr(STATES[state])
    return tr("{done} are here", done=amount(sum(file.done for file in files)))


def size_text(files: Sequence[FileInfo]) -> str:
    """Say how large files are together."""
    return amount(sum(file.size for file in files))


def details(file: FileInfo) -> str:
    """Say all that is known of a file of the catalogue, one thing a line."""
    lines = [tr(file.purpose), file.licence, f"huggingface.co/{file.repository}, {file.revision}"]
    if file.sha256:
        lines.append(f"SHA-256 {file.sha256}" if len(file.sha256) == 64 else f"SHA-256 {file.sha256}…")
    if file.memory:
        lines.append(tr("A job with it needs {memory} of the graphics card's memory or more.",
                        memory=amount(file.memory)))
    return "\n".join(lines)


def first_bundle(files: Files) -> str:
    """Return the bundle of SDXL that makes a first layer: the layers alone where a checkpoint is here."""
    parts = {bundle.name: set(bundle.files) for bundle in files.bundles}
    checkpoints = parts.get(WITH_CHECKPOINT, set()) - parts.get(LAYERS, set())
    is_here = any(file.name in checkpoints and file.state in HERE for file in files.files)
    has_own = any(model.family == "sdxl" for model in files.models)
    return LAYERS if is_here or has_own else WITH_CHECKPOINT


def own_text(model: OwnModel) -> str:
    """Say of which family a model is, or that it cannot be used."""
    return tr(FAMILIES[model.family])


def work_text(download: Download) -> str:
    """Say what is done with which files, and how far it is."""
    words = [", ".join(download.names)] if download.names else []
    return tr(WORKS[download.work], words=" · ".join([*words, download_text(download)]))


def download_text(download: Download) -> str:
    """Say how far a download is, how fast, and for how long it will go on."""
    if download.total:
        words = [tr("{done} of {total}", done=amount(download.done), total=amount(download.total))]
    elif download.work is Work.SCAN and download.done:
        words = [tr("{count} files looked at", count=download.done)]
    else:
        words = [tr("Beginning…")]
    if download.paused:
        words.append(tr("paused"))
    elif download.speed:
        left = (download.total - download.done) / download.speed
        words += [f"{amount(download.speed)}/s", _time_left(left)]
    return " · ".join(words)


def _time_left(seconds: float) -> str:
    if seconds < 90:
        return tr("{seconds} s left", seconds=max(1, round(seconds)))
    if seconds < 90 * 60:
        return tr("{minutes} min left", minutes=round(seconds / 60))
    return tr("{hours} h left", hours=f"{seconds / 3600:.1f}")
