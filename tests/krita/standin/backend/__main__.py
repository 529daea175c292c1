"""A stand-in for the backend: the real protocol over real websockets, with drawn discs in place of a model.

Words in the prompt make it behave: "held" waits until the file `gate` lies in the working folder, "cut" breaks the
connection in the middle of the first sending of the result, "nonsense" sends something unknown before it, "replaced"
closes the connection as if a newer one were there, "die" ends the process in the middle of the first try, "memory"
fails, "refused" is refused, "hazy" is not as transparent as it should be, "in line" waits for others of these words, as
all jobs of the real one do, "scene" makes three layers of each image, the last one hidden and less opaque, but for one
that came with the request, for which the others have other colours then, "noisy" gives them a grain that takes as much
room as that of real pictures. The requests and the pictures that come with them are kept in the working folder, as are
its marks, so copy the folder `standin`.
"""

import argparse
import functools
import json
import os
import random
import secrets
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path.cwd()
sys.path[:0] = (HERE / "paths").read_text(encoding="utf-8").split("\n")[:-1]

from websockets.exceptions import ConnectionClosed  # noqa: E402
from websockets.sync.server import serve  # noqa: E402

from protocol import VERSION, messages  # noqa: E402
from protocol.errors import ErrorCode, LayerDiffusionError  # noqa: E402
from protocol.images import Assembler, frames  # noqa: E402
from protocol.job import Box, Layer, LayerSet, ModelInfo, Phase, Progress, Thumbnail, Verdict  # noqa: E402
from protocol.request import Operation, Role  # noqa: E402

from .library import Library  # noqa: E402

MODELS = (
    ModelInfo(
        "builtin",
        "Built-in",
        "sd15",
        128,
        (Operation.OBJECT, Operation.SCENE),
        "a small model for trying things out; install SDXL or SD1.5 for real work",
        ("red apple", "green apple", "pineapple", "apple pie", "ghost", "glass of milk", "teapot", "red balloon"),
    ),
    ModelInfo("other", "Another model with a name that is rather long", "sdxl", 1024, (Operation.OBJECT,), ""),
    ModelInfo("all", "Everything", "sdxl", 1024, tuple(Operation), ""),
)
ABOUT_FILES = (
    messages.ListFiles, messages.Install, messages.PauseInstall, messages.ResumeInstall, messages.CancelInstall,
    messages.RemoveFiles, messages.VerifyFiles, messages.ScanFiles,
)  # fmt: skip
HAZY = Verdict(0.4, 0.1, 0.5, 0.1, 0.0, "There is a faint haze where it should be empty. Try another seed.")
REPORT = {"device": "none"}
STEPS = 8
GRAIN = bytes((31, 31, 31, 0))
LINE = threading.Lock()
FIRST = {"cut": threading.Event(), "nonsense": threading.Event()}


def layers_of(request, index):
    """The layers of one image: a disc or, of a scene, a blue ground, the disc, and a hidden blend."""
    if "scene" in request.prompt:
        layers = scene(request, index)
    else:
        layers = [disc(request, index)]
    if "noisy" in request.prompt:
        return [replace(layer, pixels=grained(layer.pixels, layer.seed)) for layer in layers]
    return layers


def scene(request, index):
    given = {picture.source.value for picture in request.inputs}
    red = 100 if given else 20
    ground, blend = ((red, 30 + 40 * index, shade, 255) for shade in (200, 250))
    layers = [
        plain(request, index, Role.BACKGROUND, ground),
        disc(request, index, red + 20),
        replace(plain(request, index, Role.BLEND, blend), visible=False, opacity=0.4),
    ]
    return [layer for layer in layers if layer.role.value not in given]


def grained(pixels, seed):
    """Pixels with other low bits of their colours, by chance."""
    noise, bits = random.Random(seed).randbytes(len(pixels)), GRAIN * (len(pixels) // 4)
    grain = int.from_bytes(noise, "little") & int.from_bytes(bits, "little")
    return (int.from_bytes(pixels, "little") ^ grain).to_bytes(len(pixels), "little")


def plain(request, index, role, colour):
    pixels = bytes(colour) * (request.width * request.height)
    box, seed = Box(0, 0, request.width, request.height), (request.seed + index) % 2**32
    return Layer(role, f"{role.value} {index}", box, pixels, seed=seed, image=index)


def disc(request, index, blue=40):
    """A red disc on padded red: soft edge, alpha 0 in the corners, colour everywhere."""
    seed = (request.seed + index) % 2**32
    box, verdict = Box(0, 0, request.width, request.height), HAZY if "hazy" in request.prompt else None
    pixels = disc_pixels(request.width, request.height, index, blue)
    return Layer(Role.FOREGROUND, f"seed {seed}", box, pixels, seed=seed, image=index, verdict=verdict)


@functools.cache
def disc_pixels(width, height, index, blue):
    radius = min(width, height) * 0.4
    rows = bytearray()
    for y in range(height):
        half = max(0.0, radius**2 - (y + 0.5 - height / 2) ** 2) ** 0.5
        for_row = bytearray((200, 30 + 40 * index, blue, 0)) * width
        if half:
            left = width / 2 - half
            for x in range(max(0, int(left) - 1), min(width, int(width - left) + 2)):
                inside = min(x + 0.5 - left, width - left - x - 0.5) / 3 + 0.5
                for_row[x * 4 + 3] = max(0, min(255, round(inside * 255)))
        rows += for_row
    return bytes(rows)


def preview(step):
    """A green picture that becomes more opaque with each step."""
    return Thumbnail.of(Role.FOREGROUND, 0, 8, 6, bytes((0, 160, 0, 255 * step // STEPS)) * 48)


class Client:
    """The jobs of one client id, which outlive its connections."""

    def __init__(self):
        self.jobs = {}
        self.send = lambda message: None
        self.connection: Any = None
        self.lock = threading.RLock()
        self.library = Library(self.tell)

    def tell(self, message):
        with self.lock:
            try:
                self.send(message)
            except ConnectionClosed:
                pass

    def generate(self, job, request):
        if job in self.jobs:
            return
        if "refused" in request.prompt:
            error = LayerDiffusionError(ErrorCode.UNKNOWN_MODEL)
            self.tell(messages.Refused(error, job))
            return
        self.jobs[job] = {"cancel": threading.Event(), "final": None, "state": messages.State.RUNNING}
        self.tell(messages.Queued(job, 0))
        threading.Thread(target=self.work, args=(job, request), daemon=True).start()

    def work(self, job, request):
        entry = self.jobs[job]
        if "in line" not in request.prompt:
            self.draw(job, request, entry)
            return
        while not LINE.acquire(timeout=0.03):
            if entry["cancel"].is_set():
                self.end(job, messages.State.CANCELLED, messages.Cancelled(job))
                return
        try:
            self.draw(job, request, entry)
        finally:
            LINE.release()

    def draw(self, job, request, entry):
        self.tell(messages.Started(job))
        mark = HERE / "died"
        for step in range(1, STEPS + 1):
            self.tell(messages.Running(job, Progress(Phase.DENOISING, step, STEPS, step / (STEPS + 1))))
            self.tell(messages.Preview(job, preview(step)))
            if entry["cancel"].wait(0.03):
                break
            if "replaced" in request.prompt and step == 3:
                self.connection.close(4001)
            if "die" in request.prompt and step == 3 and not mark.exists():
                mark.touch()
                os._exit(9)
            while "held" in request.prompt and step == 4 and not (HERE / "gate").exists():
                if entry["cancel"].wait(0.03):
                    break
        if entry["cancel"].is_set():
            self.end(job, messages.State.CANCELLED, messages.Cancelled(job))
        elif "memory" in request.prompt:
            error = LayerDiffusionError(ErrorCode.OUT_OF_MEMORY)
            self.end(job, messages.State.FAILED, messages.Failed(job, error))
        else:
            layers = tuple(layer for index in range(request.batch) for layer in layers_of(request, index))
            layer_set = LayerSet(request, layers, {"made by": "stand-in"})
            self.end(job, messages.State.DONE, layer_set)

    def end(self, job, state, final):
        with self.lock:
            self.jobs[job].update(state=state, final=final)
            self.send_final(job)

    def send_final(self, job):
        final = self.jobs[job]["final"]
        if not isinstance(final, LayerSet):
            self.tell(final)
            return
        if "nonsense" in final.request.prompt and not FIRST["nonsense"].is_set():
            FIRST["nonsense"].set()
            self.connection.send('{"type": "nonsense"}')
            return
        self.tell(messages.Done(job, final.header, len(final.layers)))
        for index, layer in enumerate(final.layers):
            for number, frame in enumerate(frames(job, index, layer.box.width, layer.box.height, layer.pixels)):
                if "cut" in final.request.prompt and number == 1 and not FIRST["cut"].is_set():
                    FIRST["cut"].set()
                    self.connection.socket.shutdown(socket.SHUT_RDWR)
                    return
                try:
                    self.connection.send(frame)
                except ConnectionClosed:
                    return


def keep(image):
    """Pictures of a request change nothing about a disc, but the driver may look at them."""
    if image is not None:
        path = HERE / "given" / f"{image.job}-{image.index}"
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".part").write_bytes(image.pixels)
        path.with_suffix(".part").rename(path)


CLIENTS = {}


def talk(connection):
    client: Any = None
    assembler = Assembler()
    try:
        for text in connection:
            if isinstance(text, bytes):
                keep(assembler.add(text))
                continue
            message = messages.parse(text)
            if isinstance(message, messages.Hello):
                client = CLIENTS.setdefault(message.client_id, Client())
                with client.lock:
                    client.connection = connection
                    client.send = lambda message: connection.send(messages.build(message))
                    held = tuple(messages.JobStatus(job, entry["state"], 0) for job, entry in client.jobs.items())
                    client.tell(messages.Welcome(VERSION, "stand-in", MODELS, ("ink drawing",), held))
                    for job, entry in client.jobs.items():
                        if entry["final"] is not None:
                            client.send_final(job)
            elif isinstance(message, messages.Generate):
                with open(HERE / "requests", "a", encoding="utf-8") as log:
                    log.write(text + "\n")
                client.generate(message.job, message.request)
            elif isinstance(message, messages.Cancel) and message.job in client.jobs:
                client.jobs[message.job]["cancel"].set()
            elif isinstance(message, messages.CancelAll):
                (HERE / "cancelled_all").touch()
                for entry in client.jobs.values():
                    entry["cancel"].set()
            elif isinstance(message, messages.Unload):
                client.tell(messages.Unloaded())
            elif isinstance(message, messages.Diagnose):
                client.tell(messages.Diagnostics(REPORT, ("out_of_memory: …",), ("stand-in listens",)))
            elif isinstance(message, ABOUT_FILES):
                client.library.answer(message)
            elif isinstance(message, messages.Acknowledge):
                client.jobs.pop(message.job, None)
                with open(HERE / "acknowledged", "a", encoding="utf-8") as log:
                    log.write(message.job + "\n")
    except ConnectionClosed:
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--parent", type=int)
    parser.add_argument("--idle", type=float)
    parser.add_argument("--save-memory", action="store_true")
    REPORT["saves memory"] = "yes" if parser.parse_args().save_memory else "no"
    if (HERE / "broken").exists():
        sys.exit("ModuleNotFoundError: No module named 'torch'.")
    token = secrets.token_hex(32)
    token_file = HERE / f"token-{os.getpid()}"
    token_file.write_text(token, encoding="utf-8")

    def check(connection, request):
        if request.headers.get("Authorization") != f"Bearer {token}":
            return connection.respond(401, "no token\n")
        return None

    with serve(talk, "127.0.0.1", 0, process_request=check, compression=None, max_size=2**21) as server:
        port = server.socket.getsockname()[1]
        ready = {"event": "ready", "port": port, "host": "127.0.0.1", "token_file": str(token_file)}
        print(json.dumps({**ready, "version": VERSION, "pid": os.getpid()}), flush=True)
        print("stand-in listens", file=sys.stderr, flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), (HERE / "ended").touch(), os._exit(0)), daemon=True).start()
        server.serve_forever()


if __name__ == "__main__":
    main()
