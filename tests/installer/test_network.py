"""Where packages come from and where they are kept meanwhile, with the installer as a second process."""

from __future__ import annotations

import os
import signal

from tests.proxy import forwarding

from . import wheels

HOST = "packages.invalid"


def from_index(user, address):
    # pip keeps nothing of an address without TLS that it is not told to trust.
    hosts = f"{HOST} 127.0.0.1"
    user.variables.update(PIP_INDEX_URL=address, LAYER_DIFFUSION_TORCH_INDEX=address, PIP_TRUSTED_HOST=hosts)


def kept(user):
    """What pip has in the program's folder."""
    return {path.name for path in (user.program / "downloads").iterdir()}


def test_without_a_command_it_installs_with_the_settings_that_pip_has(user):
    settings = user.home / "pip.conf"
    settings.write_text(f"[global]\nno-index = true\nfind-links = {user.offline / 'wheels'}\n")
    user.variables["PIP_CONFIG_FILE"] = str(settings)
    said = user.run()
    assert said.index("to fetch") < said.index("Making an environment") < said.index("Done in")
    assert user.complete() and user.connected()


def test_everything_comes_through_the_proxy(user):
    with wheels.index(user.offline / "wheels", wheels.Fault()) as address, forwarding({HOST: "127.0.0.1"}) as proxy:
        address = address.replace("127.0.0.1", HOST)  # which no name server knows
        from_index(user, address)
        said = user.run("install", "--torch", "cpu", "--proxy", proxy.address)
    assert f"{address}/cpu and the package index" in said and " fetched, " in said
    assert user.complete() and user.connected()
    files = {path.rpartition("/")[2].partition("-")[0] for path in proxy.asked if "/files/" in path}
    assert {"torch", "transformers", "tokenizers", "websockets"} <= files


def test_what_pip_keeps_lies_in_the_programs_folder_and_comes_once(user):
    fault = wheels.Fault("stall", "opencv")
    elsewhere = user.home / "tmp"
    before = user.tree()
    with wheels.index(user.offline / "wheels", fault) as address:
        from_index(user, address)
        process = user.start("install", "--torch", "cpu")
        assert fault.reached.wait(120)
        assert any(path.is_file() for path in (user.program / "downloads/temporary").rglob("*"))
        assert not any(elsewhere.iterdir())
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        fault.kind = ""
        user.run("install", "--torch", "cpu")
        assert user.complete() and kept(user) == {"pip", "websockets-15.0.1-py3-none-any.whl"}
        [torch] = (user.program / "environment").rglob("torch/__init__.py")
        torch.unlink()
        user.run("install")
    assert [name.partition("-")[0] for name in fault.asked].count("torch") == 1
    user.run("uninstall")
    assert user.tree() == before


def test_cache_that_pip_is_set_up_for_is_used(user, tmp_path):
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[global]\ncache-dir = {tmp_path / 'cache'}\n")
    user.variables["PIP_CONFIG_FILE"] = str(settings)
    with wheels.index(user.offline / "wheels", wheels.Fault()) as address:
        from_index(user, address)
        user.run("install", "--torch", "cpu")
    assert any(path.is_file() for path in (tmp_path / "cache").rglob("*"))
    assert kept(user) == {"websockets-15.0.1-py3-none-any.whl"}
