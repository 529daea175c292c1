from __future__ import annotations

import json
import subprocess
import sys
import venv

import pytest

from installer import builds, commands, environment
from installer.environment import Wish
from installer.errors import InstallerError
from installer.pip import DOWNLOADS, Cause, PipError
from installer.progress import size

from .conftest import FakePip

CPU = Wish(torch="cpu")


def test_torch_comes_first_and_alone(made):
    pip = FakePip()
    environment.ensure(Wish(torch="cu126"), pip=pip)
    assert pip.installed[0] == ["--no-deps", "torch==2.13.0+cu126"]
    assert {"torch==2.13.0", "diffusers==0.42.1", "transformers==5.23.0"} < set(pip.installed[1])
    assert [bool(index and index.endswith("/cu126")) for index in pip.indexes] == [True, False]


def test_builds_with_packages_of_their_own_get_them_from_their_index(made):
    pip = FakePip()
    environment.ensure(Wish(torch="xpu"), pip=pip)
    assert [str(index)[-4:] for index in pip.indexes] == ["/xpu", "/xpu"]


@pytest.mark.parametrize("cause", [Cause.NETWORK, Cause.MISSING, Cause.CONFLICT])
def test_plain_release_when_the_build_is_not_to_be_had(made, cause):
    pip = FakePip(fail_at=0, cause=cause)
    environment.ensure(CPU, pip=pip)
    assert pip.installed[0] == ["--no-deps", "torch==2.13.0"] and pip.indexes == [None, None]
    assert environment.torch_build() == "plain"
    again = FakePip()
    environment.ensure(pip=again)
    assert again.installed == [], "what came is kept"
    environment.ensure(CPU, pip=again)
    assert again.installed[0] == ["--no-deps", "torch==2.13.0+cpu"], "but who asks for the build gets another try"


@pytest.mark.parametrize(("cause", "began"), [(Cause.DISK, False), (Cause.CUT, True)])
def test_other_troubles_with_a_build_are_not_hidden(made, cause, began):
    with pytest.raises(PipError) as caught:
        environment.ensure(CPU, pip=FakePip(fail_at=0, cause=cause, began=began))
    assert caught.value.cause is cause


def test_another_build_is_made_from_nothing(made):
    environment.ensure(CPU, pip=FakePip())
    pip = FakePip()
    environment.ensure(Wish(torch="cu130"), pip=pip)
    assert len(made) == 2 and pip.installed[0] == ["--no-deps", "torch==2.13.0+cu130"]
    assert environment.ready() and environment.ready(Wish(torch="cu130")) and not environment.ready(CPU)


def test_packages_that_do_not_load_are_said(monkeypatch):
    environment.python().parent.mkdir(parents=True)
    environment.python().symlink_to(sys.executable)
    monkeypatch.setattr(environment, "CHECK", "import torch_that_is_missing")
    with pytest.raises(InstallerError, match="No module named 'torch_that_is_missing'"):
        environment._check_import()


def test_second_run_installs_nothing(made):
    environment.ensure(pip=FakePip())
    again = FakePip()
    assert environment.ensure(pip=again) == environment.python()
    assert again.installed == [] and len(made) == 1


def test_tests_add_only_what_they_need(made):
    environment.ensure(pip=FakePip())
    pip = FakePip()
    environment.ensure(tests=True, pip=pip)
    assert pip.installed == [environment.requirements()[1]]
    after = FakePip()
    environment.ensure(pip=after)
    environment.ensure(tests=True, pip=after)
    assert after.installed == []


@pytest.mark.parametrize("step", [0, 1])
def test_interrupted_installation_is_finished_by_the_next_run(made, step):
    with pytest.raises(InstallerError):
        environment.ensure(pip=FakePip(fail_at=step))
    pip = FakePip()
    environment.ensure(pip=pip)
    assert len(pip.installed) == 2 and len(made) == 2


def test_failed_tests_extra_leaves_no_claim_of_completeness(made):
    environment.ensure(pip=FakePip())
    with pytest.raises(InstallerError):
        environment.ensure(tests=True, pip=FakePip(fail_at=0))
    pip = FakePip()
    environment.ensure(tests=True, pip=pip)
    assert pip.installed == [environment.requirements()[1]] and len(made) == 1


def test_changed_pins_are_installed(made, monkeypatch):
    environment.ensure(pip=FakePip())
    needed, for_tests = environment.requirements()
    monkeypatch.setattr(environment, "requirements", lambda: ([*needed, "another==1"], for_tests))
    pip = FakePip()
    environment.ensure(pip=pip)
    assert "another==1" in pip.installed[1]


def test_interrupted_upgrade_counts_neither_as_the_new_release_nor_as_the_old_one(made, monkeypatch):
    environment.ensure(pip=FakePip())
    needed, for_tests = environment.requirements()
    with monkeypatch.context() as newer, pytest.raises(InstallerError):
        newer.setattr(environment, "requirements", lambda: ([*needed, "another==1"], for_tests))
        environment.ensure(pip=FakePip(fail_at=1))
    assert not environment.ready()
    pip = FakePip()
    environment.ensure(pip=pip)
    assert len(pip.installed) == 2 and environment.ready()


def test_environment_whose_python_is_gone_is_made_anew(made):
    environment.ensure(pip=FakePip())
    environment.python().unlink()
    pip = FakePip()
    environment.ensure(pip=pip)
    assert len(made) == 2 and len(pip.installed) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"run": "a"}', '{"run": "a", "torch": []}'])
def test_damaged_marker_counts_as_none(made, text):
    environment.ensure(pip=FakePip())
    (environment.folder() / environment.MARKER).write_text(text)
    pip = FakePip()
    environment.ensure(pip=pip)
    assert len(pip.installed) == 2
    assert set(json.loads((environment.folder() / environment.MARKER).read_text())) == {"run", "torch", "packages"}


def test_python_without_venv_says_what_to_install(monkeypatch):
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InstallerError, match="python3-venv"):
        environment.ensure(pip=FakePip())


@pytest.mark.parametrize(
    ("program", "cause"),
    [
        ("", r"could not put pip into the environment\. Install its venv module anew"),
        ("import sys; sys.exit('no wheel of pip')", r"could not put pip into the environment \(no wheel of pip\)\. "),
        ("raise OSError(28, 'No space left on device')", r"The disk is full\. Free some space"),
    ],
    ids=["does nothing", "fails", "full disk"],
)
def test_environment_without_pip_is_explained_and_not_taken_for_a_whole_one(monkeypatch, program, cause):
    def setup(self, context):
        self._call_new_python(context, "-c", program, stderr=subprocess.STDOUT)

    monkeypatch.setattr(venv.EnvBuilder, "_setup_pip", setup)
    pip = FakePip()
    with pytest.raises(InstallerError, match=cause):
        environment.ensure(CPU, pip=pip)
    assert environment.python().exists() and pip.installed == [] and not environment.ready()


@pytest.mark.parametrize(
    ("build", "linux", "said"),
    [
        ("cu130", False, "processor only: the graphics card stays unused"),
        ("rocm7.2", True, "processor only: the graphics card stays unused"),
        ("cu130", True, ""),
        ("cpu", True, ""),
    ],
)
def test_plain_release_says_its_size_and_which_card_it_leaves_unused(made, monkeypatch, capsys, build, linux, said):
    monkeypatch.setattr(builds, "LINUX", linux)
    environment.ensure(Wish(torch=build), pip=FakePip(fail_at=0, cause=Cause.NETWORK))
    out = capsys.readouterr().out
    plain = builds.BUILDS["plain"]
    assert f"about {size(plain.download)} to fetch, up to {size(plain.space + plain.download)} on the disk." in out
    assert ("unused" in out) is bool(said) and said in out


def test_build_that_this_version_does_not_know_is_chosen_anew(made, capsys):
    environment.ensure(Wish(torch="cu126"), pip=FakePip())
    marker = environment.folder() / environment.MARKER
    marker.write_text(marker.read_text().replace("cu126", "cu999"))
    commands.say(commands.plan())
    assert "as chosen" not in capsys.readouterr().out
    pip = FakePip()
    environment.ensure(pip=pip)
    assert len(made) == 2 and environment.ready() and environment.torch_build() in builds.BUILDS


def free(monkeypatch, count):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: type("Usage", (), {"free": count}))


def test_too_little_space_is_said_before_anything_is_fetched(made, monkeypatch):
    free(monkeypatch, 10**8)
    pip = FakePip()
    with pytest.raises(InstallerError, match="100 MB free"):
        environment.ensure(pip=pip)
    assert pip.installed == []


def test_environment_stays_where_another_one_has_no_space(made, monkeypatch):
    environment.ensure(CPU, pip=FakePip())
    free(monkeypatch, 10**9)
    pip = FakePip()
    with pytest.raises(InstallerError, match="1.0 GB free"):
        environment.ensure(Wish(torch="cu130"), pip=pip)
    assert len(made) == 1 and pip.installed == [] and environment.ready(CPU)


def test_space_of_what_is_replaced_counts_as_free(made, monkeypatch):
    environment.ensure(CPU, pip=FakePip())
    with open(environment.folder() / "large", "wb") as file:
        file.truncate(3 * 10**9)
    free(monkeypatch, 10**8)
    environment.check_space(builds.BUILDS["cpu"], Wish(torch="cu130"))
    with pytest.raises(InstallerError, match="100 MB free"):
        environment.check_space(builds.BUILDS["cpu"], CPU)
    # What was fetched already is not fetched again.
    (environment.home() / DOWNLOADS).mkdir(exist_ok=True)
    (environment.folder() / "large").replace(environment.home() / DOWNLOADS / "large")
    environment.check_space(builds.BUILDS["cpu"], CPU)


def test_what_is_not_fetched_needs_no_space(made, monkeypatch, tmp_path):
    free(monkeypatch, builds.BUILDS["cpu"].space)
    environment.check_space(builds.BUILDS["cpu"], Wish(offline=tmp_path))
    with pytest.raises(InstallerError):
        environment.check_space(builds.BUILDS["cpu"], CPU)


def test_home_that_is_a_file_is_explained(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAYER_DIFFUSION_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(InstallerError, match="--home"):
        environment.ensure(pip=FakePip())


def test_folder_of_somebody_else_is_left_alone():
    (environment.folder() / "photos").mkdir(parents=True)
    with pytest.raises(InstallerError, match="not made by this program"):
        environment.ensure(pip=FakePip())
    assert (environment.folder() / "photos").is_dir()


def test_chosen_home_is_found_again(tmp_path, monkeypatch):
    monkeypatch.delenv("LAYER_DIFFUSION_HOME")
    assert environment.home() == environment.default_home()
    environment.choose_home(tmp_path / "only looked at", keep=False)
    assert environment.home() == tmp_path / "only looked at"
    monkeypatch.delenv("LAYER_DIFFUSION_HOME")
    assert environment.home() == environment.default_home()
    environment.choose_home(tmp_path / "big disk")
    monkeypatch.delenv("LAYER_DIFFUSION_HOME")
    assert environment.home() == tmp_path / "big disk"
    environment.choose_home(environment.default_home())
    monkeypatch.delenv("LAYER_DIFFUSION_HOME")
    assert environment.home() == environment.default_home() and not any(environment.home().iterdir())


@pytest.mark.parametrize(("platform", "place"), [("linux", ".local/share"), ("darwin", "Library/Application Support")])
def test_default_home(tmp_path, monkeypatch, platform, place):
    for variable in ("LAYER_DIFFUSION_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(environment.sys, "platform", platform)
    assert environment.home() == tmp_path / place / "layer-diffusion"


def installer(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "installer", *arguments], cwd=environment.ROOT, capture_output=True, text=True
    )


def test_it_explains_itself():
    answer = installer("--help")
    assert answer.returncode == 0
    assert all(command in answer.stdout for command in ("demo", "setup", "plugin", "test"))


def test_unknown_argument_is_refused():
    answer = installer("setup", "--frobnicate")
    assert answer.returncode == 2 and "--frobnicate" in answer.stderr


def test_old_python_is_told_what_to_do_before_anything_else_is_imported():
    code = "import runpy, sys; sys.version_info = (3, 10, 12); runpy.run_module('installer', run_name='__main__')"
    answer = subprocess.run([sys.executable, "-c", code], cwd=environment.ROOT, capture_output=True, text=True)
    assert answer.returncode == 2
    assert answer.stderr.startswith("Python 3.11 or newer is needed and this is 3.10: install a newer one")


def test_disk_that_is_full_is_said_in_a_sentence(monkeypatch, capsys):
    from installer.__main__ import commands, main

    def full(wish):
        raise OSError(28, "No space left on device", "/disk/complete.json")

    monkeypatch.setattr(commands, "prepare", full)
    assert main(["setup"]) == 2
    assert "/disk/complete.json: No space left on device. Check that the disk has space" in capsys.readouterr().err
