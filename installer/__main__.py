"""`python3 -m installer …`: the commands of the installer. Runs on a bare Python."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from . import builds, commands, environment, hardware, offline, plugin
from .environment import Wish
from .errors import COMMAND, InstallerError
from .lock import only_one
from .progress import printable

DESCRIPTION = """\
Layer Diffusion for Krita: sets everything up, in folders of your own, and shows that it works.
Everything goes into the folder {home} (choose another with --home).
Without a command it installs, and first says what it will do; nothing is asked.
A second run repairs and upgrades; `uninstall` removes what was made.
"""
TEST_THREADS = "1"
"""The networks of the tests are small: more threads would wait for each other."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 when tests fail, 2 after an error."""
    printable()
    if sys.maxsize < 2**32:
        print("A 64-bit Python is needed and this is a 32-bit one: install that from python.org.", file=sys.stderr)
        return 2
    # The environment's pip is replaced together with the environment; its offers to be upgraded would only confuse.
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    parser = _parser()
    options, rest = parser.parse_known_args((sys.argv[1:] if arguments is None else arguments) or ["install"])
    if rest and options.command != "test":
        parser.error(f"unknown argument: {rest[0]}")
    try:
        return options.run(options, rest)
    except InstallerError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(
            f"\n{place}{error.strerror or error}. Check that the disk has space and that the file and its folder "
            "are yours, then run the same command again.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description=DESCRIPTION.format(home=environment.home()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    choices = _choices()
    install = subparsers.add_parser("install", parents=[choices], help="everything: packages, plugin in every Krita")
    install.set_defaults(run=lambda options, rest: commands.install(_wish(options), options.dry_run))
    install.add_argument("--dry-run", action="store_true", help="only look, and say what would be done")
    demo = subparsers.add_parser("demo", parents=[choices], help="install, and generate some layers")
    demo.set_defaults(run=_demo)
    demo.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for the pictures")
    setup = subparsers.add_parser("setup", parents=[choices], help="make the environment, nothing else")
    setup.set_defaults(run=_setup)
    put = subparsers.add_parser("plugin", parents=[choices], help="set up and install the plugin into every Krita")
    put.set_defaults(run=lambda options, rest: commands.put_plugin(options.zip, _wish(options)))
    put.add_argument("--zip", type=Path, metavar="PATH", help="write the plugin as a zip instead")
    collect = subparsers.add_parser("collect", parents=[choices], help="fetch everything into a folder for --offline")
    collect.set_defaults(run=lambda options, rest: commands.collect(options.folder.absolute(), _wish(options)))
    collect.add_argument("folder", type=Path)
    remove = subparsers.add_parser("uninstall", help="remove what was made; models stay")
    remove.set_defaults(run=lambda options, rest: commands.take_away(options.models))
    remove.add_argument("--models", action="store_true", help="remove the models too")
    test = subparsers.add_parser("test", help="set up and run all checks; more arguments go to pytest")
    test.set_defaults(run=_test)
    return parser


def _choices() -> argparse.ArgumentParser:
    """The options that several commands have."""
    choices = argparse.ArgumentParser(add_help=False)
    choices.add_argument("--home", type=Path, metavar="FOLDER", help="keep everything there, now and later")
    names = ["auto", *builds.BUILDS]
    choices.add_argument("--torch", choices=names, help="the build of torch; auto: the one that fits this computer")
    choices.add_argument("--offline", type=Path, metavar="FOLDER", help="take everything from what `collect` made")
    choices.add_argument("--proxy", metavar="URL", help="reach the network through this proxy")
    return choices


def _wish(options: argparse.Namespace) -> Wish:
    """Follow the common options, and return what they say about packages. Raises `InstallerError`."""
    folder = options.offline.absolute() if options.offline else None
    if folder:
        offline.check(folder)
    if options.proxy:
        # Python takes the name in small letters before the one in capitals.
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        os.environ.update(dict.fromkeys(names, options.proxy))
    if options.home:
        try:
            environment.choose_home(options.home, keep=not getattr(options, "dry_run", False))
        except OSError as error:
            raise InstallerError(
                f"The choice of {options.home} could not be kept ({error}).", "Set LAYER_DIFFUSION_HOME instead."
            ) from error
    torch = options.torch
    if torch == "auto":
        torch = builds.choose(hardware.detect()).build.name
    return Wish(torch, folder)


def _setup(options: argparse.Namespace, rest: list[str]) -> int:
    wish = _wish(options)
    commands.say(commands.plan(wish))
    print(f"The environment is ready: {commands.prepare(wish)}")
    return 0


def _demo(options: argparse.Namespace, rest: list[str]) -> int:
    folder = options.output.absolute()
    wish = _wish(options)
    commands.install(wish)
    python = environment.python()
    command = [python, "-m", "installer.demo", folder]
    if subprocess.run(command, cwd=environment.ROOT, env=environment.clean_environment()).returncode:
        raise InstallerError("The demonstration did not work.", f"To see what is wrong: {python} -m backend doctor")
    print(f"\nIn {folder} you have now")
    print("  layers.ora         four layers with transparency: open it in Krita")
    print("  apple.png          one layer as a picture with transparency")
    print("  contact-sheet.png  all of them over a checkerboard")
    print('\nIn Krita, open Settings > Dockers > Layer Diffusion, type "a red apple" and press Generate.')
    print("The README says how to add real models: the built-in one is only for trying things out.")
    return 0


def _test(options: argparse.Namespace, rest: list[str]) -> int:
    commands.say(commands.plan(tests=True))
    python = commands.prepare(tests=True)
    variables = environment.clean_environment()
    variables["OMP_NUM_THREADS"] = TEST_THREADS
    with only_one(environment.home()):
        variables["LAYER_DIFFUSION_WEBSOCKETS"] = str(plugin.websockets_wheel(python))
    checks = (["ruff", "check", "."], ["pyright", "--pythonpath", str(python)], ["pytest", *rest])
    failed = []
    for check in checks:
        print(f"\n── {' '.join(check[:1])}", flush=True)
        if subprocess.run([python, "-m", *check], cwd=environment.ROOT, env=variables).returncode:
            failed.append(check[0])
    print(f"\n{'Failed: ' + ', '.join(failed) if failed else 'All checks passed.'}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
