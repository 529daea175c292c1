"""`python -m backend …`: generate, presets, serve, models, doctor, bench. Each command imports only what it needs."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from installer.errors import COMMAND
from installer.progress import printable
from protocol.errors import LayerDiffusionError

from . import make, models_cli

FAILED = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0, 1 when `doctor` found something to do, 2 after an error."""
    printable()
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except LayerDiffusionError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except ModuleNotFoundError as error:
        if options.trace:
            traceback.print_exc()
        print(
            f"This Python ({sys.executable}) has no {error.name}. Run the command with the Python that "
            f"`{COMMAND} setup` prints; what is missing there, it installs.",
            file=sys.stderr,
        )
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
    generate.set_defaults(run=make.make)
    make.add_options(generate)

    presets = commands.add_parser("presets", help="list the recipes that --preset of generate knows")
    presets.set_defaults(run=lambda options: make.show_presets())

    serve = commands.add_parser("serve", help="wait for clients on a websocket")
    serve.set_defaults(run=_serve)
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=0, help="0 (the default) takes any free one")
    serve.add_argument("--parent", type=int, metavar="PID", help="stop when this process is gone or stdin closes")
    serve.add_argument("--state-file", type=Path, metavar="PATH", help="where to write the access token")
    serve.add_argument("--token-file", type=Path, metavar="PATH", help="use the token in this file, not a new one")
    serve.add_argument("--tls-certificate", type=Path, metavar="PEM", help="encrypt connections with this certificate")
    serve.add_argument("--tls-key", type=Path, metavar="PEM", help="its key, if it is in another file")
    serve.add_argument("--idle", type=float, default=15, metavar="MINUTES", help="then models are unloaded; 0: never")
    less = "use as little memory of the graphics card as possible; slower"
    serve.add_argument("--save-memory", action="store_true", help=less)
    serve.add_argument("--cluster", metavar="HOST:PORT", help="work on the machines of this Ray cluster; auto: find it")

    models = commands.add_parser("models", help="list, install, verify, remove and find model files")
    models_cli.add_options(models)

    doctor = commands.add_parser("doctor", help="look at the installation and say what to do")
    doctor.set_defaults(run=_doctor)
    doctor.add_argument("--port", type=int, default=0, help="try the backend on this port; 0 (the default) on any")

    bench = commands.add_parser("bench", help="print the seconds that an image takes")
    bench.set_defaults(run=_bench)
    bench.add_argument("--model", default="builtin")
    bench.add_argument("--prompt", default="a red apple")
    bench.add_argument("--steps", type=int, default=20)
    bench.add_argument("--size", type=make.size, help="WIDTHxHEIGHT; by default the model's own")
    bench.add_argument("--images", type=int, default=3, help="warm images to average over")
    return parser


def _serve(options: argparse.Namespace) -> int:
    from .server import serve

    serve(
        options.host, options.port, options.parent, options.state_file, options.token_file, options.tls_certificate,
        options.tls_key, 60 * options.idle, options.cluster, options.save_memory,
    )
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import examine, show

    return show(examine(options.port))


def _bench(options: argparse.Namespace) -> int:
    from .bench import bench

    bench(make.find_model(options.model), options.prompt, options.steps, options.size, options.images)
    return 0


if __name__ == "__main__":
    # The worker is started by spawning, which imports this module again under another name.
    sys.exit(main())
