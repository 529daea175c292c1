"""`python3 -m installer …`: the commands of the installer. Runs on a bare Python."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from . import environment
from .errors import InstallerError

DESCRIPTION = """\
Layer Diffusion for Krita: sets everything up, in folders of your own, and shows that it works.
Everything goes into the folder {home} (choose another with LAYER_DIFFUSION_HOME);
remove that folder to be rid of it. A second run only adds what is missing.
"""
TEST_THREADS = "2"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 when tests fail, 2 after an error."""
    if sys.version_info < environment.OLDEST:
        found = ".".join(map(str, sys.version_info[:2]))
        print(
            f"Python 3.11 or newer is needed and this is {found}: install a newer one (python.org, or your "
            "distribution's package python3.11, say) and run the same command with it.",
            file=sys.stderr,
        )
        return 2
    # The environment's pip is replaced together with the environment; its offers to be upgraded would only confuse.
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "test":
        parser.error(f"unknown argument: {rest[0]}")
    if options.command is None:
        parser.print_help()
        return 0
    try:
        return options.run(options, rest)
    except InstallerError as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m installer",
        description=DESCRIPTION.format(home=environment.home()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    demo = commands.add_parser("demo", help="set up, generate some layers, install the plugin if Krita is here")
    demo.set_defaults(run=_demo)
    demo.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for the pictures")
    setup = commands.add_parser("setup", help="make the environment, nothing else")
    setup.set_defaults(run=_setup)
    plugin = commands.add_parser("plugin", help="set up and install the plugin into Krita")
    plugin.set_defaults(run=_plugin)
    plugin.add_argument("--zip", type=Path, metavar="PATH", help="write the plugin as a zip instead")
    test = commands.add_parser("test", help="set up and run all checks; more arguments go to pytest")
    test.set_defaults(run=_test)
    return parser


def _setup(options: argparse.Namespace, rest: list[str]) -> int:
    print(f"The environment is ready: {environment.ensure()}")
    return 0


def _plugin(options: argparse.Namespace, rest: list[str]) -> int:
    from . import krita, plugin

    if options.zip:
        # Whichever has pip; the zip does not depend on this machine.
        python = environment.python() if environment.python().exists() else Path(sys.executable)
        print(f"Written: {plugin.make_zip(options.zip, python)}")
        print("In Krita: Tools > Scripts > Import Python Plugin from File.")
        return 0
    profile = krita.find()
    if profile is None:
        raise InstallerError(
            "Krita was not found on this machine.",
            "Install Krita 5.1 or newer, then run this again; --zip makes a file for another machine.",
        )
    print(f"The plugin is installed and switched on: {plugin.install(profile, environment.ensure())}")
    print("Start Krita anew; the docker is under Settings > Dockers > Layer Diffusion.")
    return 0


def _demo(options: argparse.Namespace, rest: list[str]) -> int:
    from . import krita, plugin

    python = environment.ensure()
    folder = options.output.absolute()
    command = [python, "-m", "installer.demo", folder]
    if subprocess.run(command, cwd=environment.ROOT, env=_environment()).returncode:
        raise InstallerError("The demonstration did not work.", f"To see what is wrong: {python} -m backend doctor")
    profile = krita.find()
    installed = plugin.install(profile, python) if profile else None
    print(f"\nDone. In {folder} you have now")
    print("  layers.ora         four layers with transparency: open it in Krita")
    print("  apple.png          one layer as a picture with transparency")
    print("  contact-sheet.png  all of them over a checkerboard")
    print("\nWhat to do next:")
    if installed:
        print(f"  The plugin is in your Krita ({installed}).")
        print('  Start Krita, open Settings > Dockers > Layer Diffusion, type "a red apple" and press Generate.')
    else:
        print("  Krita was not found. Install it, then run: python3 -m installer plugin")
    print("  The README says how to add SD1.5 checkpoints: the built-in model is only for trying things out.")
    return 0


def _test(options: argparse.Namespace, rest: list[str]) -> int:
    from . import plugin

    python = environment.ensure(tests=True)
    variables = _environment()
    variables["OMP_NUM_THREADS"] = TEST_THREADS
    variables["LAYER_DIFFUSION_WEBSOCKETS"] = str(plugin.websockets_wheel(python))
    checks = (["ruff", "check", "."], ["pyright", "--pythonpath", str(python)], ["pytest", *rest])
    failed = []
    for check in checks:
        print(f"\n── {' '.join(check[:1])}", flush=True)
        if subprocess.run([python, "-m", *check], cwd=environment.ROOT, env=variables).returncode:
            failed.append(check[0])
    print(f"\n{'Failed: ' + ', '.join(failed) if failed else 'All checks passed.'}")
    return int(bool(failed))


def _environment() -> dict[str, str]:
    """This process's environment without what would make the environment's Python look elsewhere."""
    foreign = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
    return {key: value for key, value in os.environ.items() if key not in foreign}


if __name__ == "__main__":
    sys.exit(main())
