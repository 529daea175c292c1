"""`python -m backend …`: generate, serve, doctor, bench. Each command imports only what it needs."""

from __future__ import annotations

import argparse
import secrets
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.job import Phase, Progress
from protocol.limits import MAX_SEED
from protocol.request import Operation, Request

FAILED = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0, 1 when `doctor` found something to do, 2 after an error."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except LayerDiffusionError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if options.trace:
            traceback.print_exc()
        print(
            f"Something unexpected happened: {type(error).__name__}: {error}. "
            "Run the command again with --trace before its name and report what it prints.",
            file=sys.stderr,
        )
    return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend", description="Generate layers with true transparency.")
    parser.add_argument("--trace", action="store_true", help="show where an unexpected error comes from")
    commands = parser.add_subparsers(required=True, metavar="command")

    generate = commands.add_parser("generate", help="generate layers into a file")
    generate.set_defaults(run=_generate)
    generate.add_argument("--model", default="builtin", help="id of an installed model, or path of a checkpoint")
    generate.add_argument("--operation", default="object", choices=[operation.value for operation in Operation])
    generate.add_argument("--prompt", required=True)
    generate.add_argument("--negative", default="")
    generate.add_argument("--seed", type=int, default=-1, help="-1 (the default) draws one")
    generate.add_argument("--steps", type=int, default=20)
    generate.add_argument("--cfg", type=float, default=5.0)
    generate.add_argument("--size", type=_size, help="WIDTHxHEIGHT; by default the model's own")
    generate.add_argument("--batch", type=int, default=1)
    generate.add_argument("--output", type=Path, required=True, help="a file ending in .ora or .png, or a folder")

    serve = commands.add_parser("serve", help="wait for clients on a websocket")
    serve.set_defaults(run=_serve)
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=0, help="0 (the default) takes any free one")
    serve.add_argument("--parent", type=int, metavar="PID", help="stop when this process is gone or stdin closes")
    serve.add_argument("--state-file", type=Path, metavar="PATH", help="where to write the access token")

    doctor = commands.add_parser("doctor", help="look at the installation and say what to do")
    doctor.set_defaults(run=_doctor)

    bench = commands.add_parser("bench", help="print the seconds that an image takes")
    bench.set_defaults(run=_bench)
    bench.add_argument("--model", default="builtin")
    bench.add_argument("--prompt", default="a red apple")
    bench.add_argument("--steps", type=int, default=20)
    bench.add_argument("--size", type=_size, help="WIDTHxHEIGHT; by default the model's own")
    bench.add_argument("--images", type=int, default=3, help="warm images to average over")
    return parser


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write it as 256x256")
    return int(width), int(height)


def _generate(options: argparse.Namespace) -> int:
    from . import outputs

    outputs.check_target(options.output)
    files = _files(options.model)
    if options.seed < -1:
        fail(ErrorCode.INVALID_REQUEST, f"The seed must be from 0 to {MAX_SEED}, or -1 to draw one.")
    width, height = options.size or (files.info.native_side,) * 2
    request = Request(
        operation=Operation(options.operation),
        model=files.info.id,
        prompt=options.prompt,
        negative=options.negative,
        width=width,
        height=height,
        steps=options.steps,
        cfg=options.cfg,
        seed=secrets.randbelow(MAX_SEED + 1) if options.seed == -1 else options.seed,
        batch=options.batch,
    )
    print(f"Model {files.info.name}, {width} x {height}, seed {request.seed}.", file=sys.stderr)

    from .engine.generate import generate

    layer_set = generate(request, files, _Report(sys.stderr), lambda: False)
    for path in outputs.write(layer_set, options.output):
        print(path)
    return 0


def _files(model: str):
    """Files of an installed model or, when it looks like one or is there, of a path."""
    from . import models

    path = Path(model)
    if model not in {info.id for info in models.installed()} and (len(path.parts) > 1 or path.exists()):
        return models.resolve_path(path)
    return models.resolve(model)


class _Report:
    """Shows progress on one line of a terminal, or one line for each phase of a log."""

    def __init__(self, stream) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._phase: Phase | None = None

    def __call__(self, progress: Progress) -> None:
        if self._live:
            end = "\n" if progress.fraction == 1 else ""
            line = f"{progress.fraction:4.0%}  {progress.phase.value} {progress.step}/{progress.total}"
            print(f"\r{line:<40}", end=end, file=self._stream, flush=True)
        elif progress.phase is not self._phase or progress.fraction == 1:
            print(f"{progress.fraction:4.0%}  {progress.phase.value}", file=self._stream, flush=True)
        self._phase = progress.phase


def _serve(options: argparse.Namespace) -> int:
    from .server import serve

    serve(options.host, options.port, options.parent, options.state_file)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import examine, show

    return show(examine())


def _bench(options: argparse.Namespace) -> int:
    from .bench import bench

    bench(_files(options.model), options.prompt, options.steps, options.size, options.images)
    return 0


if __name__ == "__main__":
    # The worker is started by spawning, which imports this module again under another name.
    sys.exit(main())
