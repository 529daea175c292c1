"""Driver: Krita is killed while the real backend is at work."""

import os
import signal

from family import backend, worker_of
from vocabulary import Docker


def run(h):
    h.new_document(256, 256)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from d.enter("steps", 100)
    yield from d.start("a red apple")
    yield h.until(lambda: d.find("progress").text().startswith("Denoising"), 200, "the denoising")
    h.record("backend", backend())
    h.record("worker", worker_of(backend()))
    h.save()
    os.kill(os.getpid(), signal.SIGKILL)
