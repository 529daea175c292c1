"""Driver: a connection that breaks and a backend that ends; with the stand-in."""

import os
import signal
import socket
from pathlib import Path

from vocabulary import Docker, acknowledged, nodes


def pids(root):
    """Process ids of the stand-ins that were started so far, oldest first."""
    tokens = sorted(Path(root).glob("token-*"), key=lambda path: path.stat().st_mtime)
    return [int(path.name.split("-")[1]) for path in tokens]


def writing_to_nobody():
    """What comes of writing to a connection whose other end is closed; without the plugin the end of Krita."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        try:
            ours.send(b"anybody?")
        except BrokenPipeError as error:
            return error


def run(h):
    root = Path(h.args["root"])
    document = h.new_document(1024, 1024)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    h.check("an error that can be handled", writing_to_nobody() is not None)

    group = yield from d.made(document, "cut in the middle of the result")
    last = bytes(group.childNodes()[0].pixelData(512, 915, 1, 1))
    h.check("whole after a broken connection", last[2:] == bytes((200, 255)), last)
    h.check("once", len(acknowledged(h)) == 1 and len(nodes(document)) == 2, acknowledged(h))
    h.check("by the same backend", len(pids(root)) == 1, pids(root))

    yield from d.made(document, "nonsense instead of the result")
    h.check("says that the two do not fit", "the plugin and the backend from the same release" in d.error(), d.error())
    h.check("and has the layer all the same", len(nodes(document)) == 3, len(nodes(document)))
    yield from d.press("error_close")

    yield from d.start("replaced in the middle")
    yield h.until(lambda: d.session.link.name == "REPLACED", 20, "the end of the connection")
    h.check("says how to go on", "Press Generate to connect again" in d.error(), d.error())
    yield 1
    h.check("does not connect by itself", d.session.link.name == "REPLACED", d.session.link.name)
    yield from d.start("after it")
    yield h.until(lambda: len(nodes(document)) == 5, 30, "both layers")
    yield d.ready()

    yield from d.made(document, "die in the middle of the job")
    h.check("a new backend did it again", len(pids(root)) == 2, pids(root))
    h.check("no error", d.error() == "", d.error())

    (root / "broken").touch()
    os.kill(pids(root)[-1], signal.SIGKILL)
    yield h.until(d.error, 60, "the error")
    h.check("says why", "could not start: ModuleNotFoundError: No module named 'torch'" in d.error(), d.error())
    h.check("says what to do", "Run the installer" in d.error() and "backend.log" in d.error(), d.error())
    yield h.screenshot("not_running")
    (root / "broken").unlink()
    yield from d.made(document, "after it was mended")
    h.check("the error is gone", d.error() == "", d.error())
