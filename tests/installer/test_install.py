"""The whole installer as a second process: a real environment, a real pip, and stand-ins for the packages."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import zipfile
from pathlib import Path

import pytest

from backend.models.catalogue import BASES
from installer import offline
from installer.errors import InstallerError
from installer.lock import NAME as LOCK
from installer.lock import only_one

from . import wheels

SLOW = "import socket\nsocket.create_connection(('127.0.0.1', {port})).recv(1)\n"
"""A module whose import says that it has been reached, and waits."""


def test_from_nothing_again_and_away(user):
    before = user.tree()
    said = user.run("install", "--torch", "cpu", "--offline", str(user.offline), "--dry-run")
    assert user.tree() == before
    for word in ("Python", "Folder", "free", "Graphics", "Packages", str(user.offline), str(user.krita / "pykrita")):
        assert word in said

    said = user.install()
    assert "Done in" in said and str(user.krita / "pykrita/layer_diffusion") in said
    assert user.complete() and user.connected()
    assert "enable_layer_diffusion=true" in user.settings.read_text()
    assert (user.program / "models/layers/layer_sd15_joint.safetensors").read_bytes() == b"weights"
    python = json.loads((user.krita / "pykrita/layer_diffusion/backend.json").read_text())["python"]
    version = "import importlib.metadata, torch; print(importlib.metadata.version('torch'))"
    assert subprocess.check_output([python, "-c", version], text=True).strip() == "2.13.0+cpu"

    after = user.tree()
    assert "are there already" in user.install()
    assert user.tree() == after

    said = user.run("uninstall")
    assert "Kept" in said and "models" in said
    assert user.tree() - before == {".local/share/layer-diffusion/models/layers/layer_sd15_joint.safetensors"}
    assert user.settings.read_text() == "[MainWindow]\nState=1\n"
    user.run("uninstall", "--models")
    assert user.tree() == before and not user.program.exists()
    assert "nothing to remove" in user.run("uninstall")


def test_what_the_person_made_or_brought_is_kept_and_named(user):
    user.install()
    models = user.program / "models"
    own = [models / "checkpoints/mine.safetensors", models / "loras/mine.safetensors"]
    own += [user.krita / "layer_diffusion/kept/1"]
    for path in own:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    part = "layers/layer_sd15_joint.safetensors.part"
    for left in ("known-files.json", "wanted-files.json", "checkpoints/.locks/a", part):
        (models / left).parent.mkdir(parents=True, exist_ok=True)
        (models / left).touch()
    said = user.run("uninstall", "--models")
    assert str(models) in said and str(user.krita / "layer_diffusion") in said
    assert {path for path in models.rglob("*") if path.is_file()} == set(own[:2]) and own[2].is_file()


def test_whatever_is_kept_is_named(user, tmp_path):
    theirs = tmp_path / "theirs"
    user.variables["LAYER_DIFFUSION_MODELS"] = str(theirs)
    user.install()
    # As Krita writes what the docker asks it to remember.
    remembered = '[layer_diffusion]\nprompts=["a red apple"]\n'
    user.settings.write_text(user.settings.read_text() + "\n" + remembered)
    kept = [theirs, user.program / "models", user.program / "notes.txt", user.krita / "layer_diffusion"]
    for path in (kept[1] / "loras/mine.safetensors", kept[2], kept[3] / "styles.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    said = user.run("uninstall").splitlines()
    named = [line.partition("Kept: ")[2] for line in said if line.startswith("Kept: /")]
    assert named == [f"{kept[0]} (7 bytes)", *(f"{path} (4 bytes)" for path in kept[1:])]
    assert f"Kept: section [layer_diffusion] of {user.settings}, the docker's settings and last prompts" in said
    assert user.settings.read_text().endswith(remembered) and "enable_layer" not in user.settings.read_text()


def test_folder_of_models_that_was_chosen_loses_only_the_layers(user, tmp_path):
    user.variables["LAYER_DIFFUSION_MODELS"] = str(tmp_path / "theirs")
    user.install()
    theirs = tmp_path / "theirs/checkpoints" / BASES[0].name
    theirs.parent.mkdir()
    theirs.write_bytes(b"of another program")
    said = user.run("uninstall", "--models")
    assert f"Kept: {tmp_path / 'theirs'}" in said and theirs.is_file()
    assert not (tmp_path / "theirs/layers").exists()


def test_uninstall_waits_for_no_other_installer(user):
    user.install()
    with only_one(user.program):
        process = user.start("uninstall", "--models")
        out, _ = process.communicate()
    assert process.returncode == 2 and "Another installer" in out
    assert user.complete() and (user.program / "models/layers/layer_sd15_joint.safetensors").is_file()


def test_packages_that_went_or_were_damaged_come_again(user):
    user.install()
    python = user.program / "environment/bin/python"
    [torch] = (user.program / "environment").rglob("torch/__init__.py")
    # Nobody names this one: another package requires it.
    indirect = torch.parents[1] / wheels.INDIRECT / "__init__.py"
    for damage in (
        torch.unlink,
        lambda: indirect.write_text("half"),
        lambda: [shutil.rmtree(folder) for folder in torch.parents[1].glob(f"{wheels.INDIRECT}*")],
    ):
        damage()
        said = user.install()
        assert "are there already" not in said and "Done in" in said
        assert subprocess.run([python, "-c", f"import torch, {wheels.INDIRECT}"]).returncode == 0
        assert "are there already" in user.install()


def test_other_release_of_a_pinned_package_is_noticed_and_replaced(user, tmp_path):
    user.install()
    python = user.program / "environment/bin/python"
    version = [python, "-c", "import importlib.metadata; print(importlib.metadata.version('diffusers'))"]
    pinned = subprocess.check_output(version, text=True)
    other = wheels.wheel(tmp_path, "diffusers", "0.1", "diffusers")
    replace = [python, "-m", "pip", "install", "--no-index", "--no-deps", "--force-reinstall", other]
    subprocess.run(replace, check=True, env=user.variables)
    assert subprocess.check_output(version, text=True) == "0.1\n"
    assert "are there already" not in user.install()
    assert subprocess.check_output(version, text=True) == pinned
    assert "are there already" in user.install()


def test_killed_in_the_middle_and_finished_by_the_next_run(user):
    user.install()
    with socket.create_server(("127.0.0.1", 0)) as reached:
        reached.settimeout(120)
        # The environment is made anew for another build, and that one never ends to load.
        text = SLOW.format(port=reached.getsockname()[1])
        wheels.wheel(user.offline / "wheels", "torch", "2.13.0+cu126", "torch", text)
        offline.seal(user.offline)
        process = user.start("install", "--torch", "cu126", "--offline", str(user.offline))
        waiting, _ = reached.accept()
        with waiting:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert not user.complete() and not user.connected()
    wheels.wheel(user.offline / "wheels", "torch", "2.13.0+cu126", "torch")
    offline.seal(user.offline)
    user.run("install", "--torch", "cu126", "--offline", str(user.offline))
    assert user.complete() and user.connected()


def test_failure_leaves_nothing_that_looks_finished(user):
    [torch] = (user.offline / "wheels").glob("torch-*")
    torch.write_bytes(torch.read_bytes()[:-200])
    offline.seal(user.offline)
    process = user.start("install", "--torch", "cpu", "--offline", str(user.offline))
    out, _ = process.communicate()
    assert process.returncode == 2 and "arrived damaged" in out and "Traceback" not in out.rpartition("damaged")[2]
    assert not user.complete() and not (user.krita / "pykrita").exists()
    assert user.settings.read_text() == "[MainWindow]\nState=1\n"
    user.run("uninstall")
    assert not user.program.exists()


def test_chosen_folder_and_no_krita(user, tmp_path):
    user.krita.rmdir()
    disk = tmp_path / "disk" / "ours"
    said = user.install("--home", str(disk))
    assert "Import Python Plugin" in said
    with zipfile.ZipFile(disk / "downloads/layer_diffusion.zip") as archive:
        python = Path(json.loads(archive.read("layer_diffusion/backend.json"))["python"])
    assert python.is_relative_to(disk) and python.exists()
    assert (disk / "models/layers/layer_sd15_joint.safetensors").is_file()
    assert "are there already" in user.run("install", "--offline", str(user.offline))
    user.run("uninstall", "--models")
    assert not disk.exists() and not user.program.exists()


def test_plugin_of_somebody_else_stays(user):
    theirs = user.krita / "pykrita/layer_diffusion"
    theirs.mkdir(parents=True)
    (theirs / "__init__.py").write_text("")
    said = user.run("uninstall")
    assert "nothing to remove" in said and f"Kept: {theirs}, which this installation did not put there" in said
    assert theirs.is_dir()


def test_krita_that_was_never_started_is_left_as_it_was(user):
    user.krita.rmdir()
    user.settings.unlink()
    (user.home / "bin").mkdir()
    (user.home / "bin/krita").touch(mode=0o755)
    user.variables["PATH"] = str(user.home / "bin")
    before = set(user.home.rglob("*"))
    user.install()
    assert user.settings.is_file() and (user.krita / "actions/layer_diffusion.action").is_file()
    user.run("uninstall", "--models")
    assert set(user.home.rglob("*")) == before


def test_one_installer_at_a_time(user):
    with only_one(user.program):
        process = user.start("install", "--torch", "cpu", "--offline", str(user.offline))
        out, _ = process.communicate()
    assert process.returncode == 2 and "Another installer is at work" in out
    assert {path.name for path in user.program.iterdir()} == {LOCK}


def test_offline_folder_without_packages(user, tmp_path):
    for command in ("install", "setup", "plugin"):
        process = user.start(command, "--offline", str(tmp_path / "empty"))
        out, _ = process.communicate()
        assert process.returncode == 2 and "installer collect" in out
    assert not user.program.exists()


def test_damaged_package_is_noticed_before_the_environment_is_touched(user):
    user.install()
    before = user.tree()
    wheels.wheel(user.offline / "wheels", "torch", "2.13.0+cu126", "torch", "x = 1\n")
    offline.seal(user.offline)
    [torch] = (user.offline / "wheels").glob("torch-*cu126*")
    content = bytearray(torch.read_bytes())
    content[len(content) // 2] ^= 1
    torch.write_bytes(content)
    process = user.start("install", "--torch", "cu126", "--offline", str(user.offline))
    out, _ = process.communicate()
    assert process.returncode == 2 and f"{torch} is damaged. Make it on a computer with a network" in out
    assert user.tree() == before and user.complete() and user.connected()


def test_folder_is_collected_from_an_index_and_installed_from(user, tmp_path):
    with wheels.index(user.offline / "wheels", wheels.Fault()) as address:
        user.variables["PIP_INDEX_URL"] = address
        user.variables["LAYER_DIFFUSION_TORCH_INDEX"] = address
        said = user.run("collect", "--torch", "cpu", str(tmp_path / "stick"))
    assert "--offline FOLDER --torch cpu" in said
    got = {path.name for path in (tmp_path / "stick/wheels").iterdir()}
    assert {"torch-2.13.0+cpu-py3-none-any.whl", "websockets-15.0.1-py3-none-any.whl"} <= got
    user.run("install", "--torch", "cpu", "--offline", str(tmp_path / "stick"))
    assert user.complete() and user.connected()


@pytest.mark.parametrize("last", ["torch-", "opencv"])
def test_collecting_that_was_killed_looks_unfinished_and_goes_on(user, tmp_path, last):
    stick = tmp_path / "stick"
    fault = wheels.Fault("stall", last)
    with wheels.index(user.offline / "wheels", fault) as address:
        user.variables["PIP_INDEX_URL"] = address
        user.variables["LAYER_DIFFUSION_TORCH_INDEX"] = address
        process = user.start("collect", "--torch", "cpu", str(stick))
        assert fault.reached.wait(120)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        # What a copy leaves that was cut off.
        (stick / "wheels").mkdir(parents=True, exist_ok=True)
        [torch] = (user.offline / "wheels").glob("torch-*")
        half = stick / "wheels" / torch.name.replace("cpu", "cu126")
        half.write_bytes(torch.read_bytes()[:-200])
        with pytest.raises(InstallerError, match="is no folder that was collected to its end"):
            offline.check(stick)
        fault.kind = ""
        user.run("collect", "--torch", "cpu", str(stick))
    offline.check(stick)
    offline.check_packages(stick)
    assert not half.exists()
