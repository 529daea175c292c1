"""What the commands `install`, `setup`, `plugin`, `collect` and `uninstall` do."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import builds, environment, hardware, krita, network, offline, plugin, uninstall
from .environment import DEFAULT, Wish
from .errors import COMMAND, InstallerError
from .lock import only_one
from .pip import DOWNLOADS, Pip
from .progress import duration, size

INDEX = "the package index that pip is set up for"
TESTS_DOWNLOAD = 300 * 10**6
"""Bytes that the packages of the tests have; an estimate on the high side."""


def plan(wish: Wish = DEFAULT, tests: bool = False) -> Iterator[str]:
    """Yield what was found and what `prepare` will do, line by line. Raises `InstallerError` when it cannot be done."""
    yield f"Python     {'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})"
    yield f"Folder     {environment.home()} ({size(environment.free_space())} free)"
    choice = _choice(wish)
    yield f"Graphics   {choice.reason}"
    if choice.advice:
        yield f"           → {choice.advice}"
    if environment.ready(wish, tests):
        yield "Packages   are there already"
    elif environment.ready(wish):
        yield f"Packages   those of the tests are added, about {size(TESTS_DOWNLOAD)} from {INDEX}"
    else:
        environment.check_space(choice.build, wish)
        yield f"Packages   torch for {choice.build.title} ({choice.build.name}) and what else is needed, from"
        yield f"           {f'the folder {wish.wheels}' if wish.wheels else _sources(choice.build)}:"
        yield f"           {environment.amounts(choice.build, wish)}"


def _sources(build: builds.Build) -> str:
    return INDEX if build.name == builds.PLAIN else f"{builds.index(build)} and {INDEX}"


def _places(profiles: list[krita.Profile]) -> Iterator[str]:
    """Yield where the plugin will go, line by line."""
    for profile in profiles:
        yield f"Krita      {profile.kind}: the plugin goes into {profile.plugins}"
        if profile.note:
            yield f"           → {profile.note}"
    if not profiles:
        yield f"Krita      was not found: the plugin is written to {zip_file()}"


def say(lines: Iterable[str]) -> None:
    """Print lines as they come."""
    for line in lines:
        print(line, flush=True)


def zip_file() -> Path:
    """Return where the plugin is written when there is no Krita to put it into."""
    return environment.home() / DOWNLOADS / "layer_diffusion.zip"


def _choice(wish: Wish) -> builds.Choice:
    name = wish.torch or environment.torch_build()
    if name is None:
        return builds.choose(hardware.detect())
    return builds.Choice(builds.BUILDS[name], f"torch's build {name}, as chosen (--torch auto looks again)")


def prepare(wish: Wish = DEFAULT, tests: bool = False, pip: Pip | None = None) -> Path:
    """Make the environment complete, unless it is, and return its Python. Raises `InstallerError`."""
    with only_one(environment.home()):
        if environment.ready(wish):
            # What the tests need besides does not touch what the backend runs with.
            return environment.ensure(wish, tests, pip)
        if wish.offline:
            # Before what is there is taken apart.
            offline.check_packages(wish.offline)
        with plugin.withdrawn():
            return environment.ensure(wish, tests, pip)


def put_plugins(profiles: list[krita.Profile], python: Path, wish: Wish = DEFAULT) -> list[Path]:
    """Put the plugin into each of the profiles, or write it as a zip when there is none; return where."""
    with only_one(environment.home()):
        say(network.left_out())
        if not profiles:
            return [plugin.make_zip(zip_file(), python, wish.wheels, connected=True)]
        return [plugin.install(profile, python, wish.wheels) for profile in profiles]


def install(wish: Wish, dry_run: bool = False) -> int:
    """Everything: plan, environment, plugin in every Krita, models of an offline folder. Run it again to repair."""
    start = time.monotonic()
    profiles = krita.find()
    say(plan(wish))
    say(_places(profiles))
    print(f"Models     {offline.models_folder()}, where everything is kept", flush=True)
    if dry_run:
        return 0
    print(flush=True)
    pip = Pip(environment.python(), environment.home(), wish.wheels)
    python = prepare(wish, pip=pip)
    places = put_plugins(profiles, python, wish)
    models = offline.copy_models(wish.offline) if wish.offline else []
    fetched = f"{size(pip.fetched)} fetched, " if pip.fetched else ""
    seconds = duration(time.monotonic() - start)
    print(f"\nDone in {seconds}: {fetched}{size(environment.taken(environment.folder()))} in {environment.folder()}.")
    for path in (*places, *models):
        print(f"  {path}")
    if profiles:
        print("Start Krita anew; the docker is under Settings > Dockers > Layer Diffusion.")
    else:
        print("In Krita: Tools > Scripts > Import Python Plugin from File; or install Krita and run this again.")
    return 0


def put_plugin(target: Path | None, wish: Wish) -> int:
    """Only the plugin: into every Krita, or into a zip."""
    if target:
        # Whichever has pip; the zip does not depend on this computer.
        python = environment.python() if environment.python().exists() else Path(sys.executable)
        with only_one(environment.home()):
            print(f"Written: {plugin.make_zip(target, python, wish.wheels)}")
        print("In Krita: Tools > Scripts > Import Python Plugin from File.")
        return 0
    profiles = krita.find()
    if not profiles:
        raise InstallerError(
            "Krita was not found on this computer.",
            "Install Krita 5.1 or newer, then run this again; --zip makes a file for another computer.",
        )
    say(plan(wish))
    say(_places(profiles))
    for path in put_plugins(profiles, prepare(wish), wish):
        print(f"The plugin is installed and switched on: {path}")
    print("Start Krita anew; the docker is under Settings > Dockers > Layer Diffusion.")
    return 0


def collect(folder: Path, wish: Wish) -> int:
    """Fill a folder for `--offline`."""
    python = environment.python() if environment.python().exists() else Path(sys.executable)
    build = builds.BUILDS[wish.torch] if wish.torch else builds.choose(hardware.detect()).build
    print(f"torch for {build.title} ({build.name}) and what else is needed, about {size(build.download)},", flush=True)
    print(f"from {_sources(build)}, goes into {folder / 'wheels'}.", flush=True)
    with only_one(environment.home()):
        offline.collect(folder, python, build)
    print(f"Everything is in {folder} ({size(environment.taken(folder))}).")
    print(f"Put models into {folder / 'models'} as in {_layout()}.")
    print(f"On the other computer: {COMMAND} install --offline FOLDER --torch {build.name}")
    return 0


def _layout() -> str:
    return f"{offline.models_folder()} (checkpoints/, layers/, loras/)"


def take_away(with_models: bool) -> int:
    """Uninstall, and say what was removed and what is kept."""
    removed, kept = uninstall.uninstall(with_models)
    for path in removed:
        print(f"Removed: {path}")
    if not removed:
        print("There was nothing to remove.")
    for path in kept:
        print(f"Kept: {path} ({size(environment.taken(path))})")
    for path in uninstall.foreign():
        print(f"Kept: {path}, which this installation did not put there")
    for settings in uninstall.remembered():
        print(f"Kept: section [{plugin.NAME}] of {settings}, the docker's settings and last prompts")
        print("      (to forget them, close Krita and delete the lines of this section)")
    if offline.models_folder() in kept and not with_models:
        print("`uninstall --models` removes the models that were installed, too.")
    return 0
