from __future__ import annotations

import pytest

from installer import kritarc

OTHER = "[MainWindow]\nState=AAAA\\x00=\n\n[python]\nenable_tenbrushes=true\n\n[tool_crop]\naddDecoration=0\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "[python]\nenable_layer_diffusion=true\n"),
        ("[a]\nb=1\n", "[a]\nb=1\n\n[python]\nenable_layer_diffusion=true\n"),
        ("[a]\nb=1", "[a]\nb=1\n\n[python]\nenable_layer_diffusion=true\n"),
        ("[python]", "[python]\nenable_layer_diffusion=true\n"),
        ("[python]\nx=1\n[b]\ny=1\n", "[python]\nenable_layer_diffusion=true\nx=1\n[b]\ny=1\n"),
        ("[python]\nenable_layer_diffusion=false\nx=1\n", "[python]\nenable_layer_diffusion=true\nx=1\n"),
        ("[a]\nb=1\r\n", "[a]\nb=1\r\n\r\n[python]\r\nenable_layer_diffusion=true\r\n"),
        (
            "[b]\nenable_layer_diffusion=false\n[python]\n",
            "[b]\nenable_layer_diffusion=false\n[python]\nenable_layer_diffusion=true\n",
        ),
    ],
)
def test_one_line_is_changed(before, after):
    assert kritarc.enabled(before) == after
    assert kritarc.enabled(after) == after


@pytest.mark.parametrize(
    "text",
    ["", "[a]\nb=1\n", "[python]\nx=1\n[b]\ny=1\n", "[a]\nb=1\r\n", OTHER, OTHER + "\n[python2]\nx=1\n"],
)
def test_switch_leaves_no_trace(text):
    assert kritarc.without(kritarc.enabled(text)) == text
    assert kritarc.without(text) == text


def test_section_goes_only_when_nothing_else_is_in_it():
    alone = "[a]\nb=1\n\n[python]\nenable_layer_diffusion=true\n\n[c]\nd=1\n"
    assert kritarc.without(alone) == "[a]\nb=1\n\n\n[c]\nd=1\n"
    assert kritarc.without("[python]\nenable_layer_diffusion=true\n# mine\n") == "[python]\n# mine\n"


def test_everything_else_in_the_settings_stays(tmp_path):
    settings = tmp_path / "kritarc"
    settings.write_bytes(OTHER.encode() + b"name=\xff\xfe\n")
    assert kritarc.enable(settings) and kritarc.is_on(settings)
    lines = settings.read_bytes().split(b"\n")
    lines.remove(b"enable_layer_diffusion=true")
    assert b"\n".join(lines) == OTHER.encode() + b"name=\xff\xfe\n"
    assert not kritarc.enable(settings)
    assert kritarc.disable(settings) and not kritarc.is_on(settings)
    assert settings.read_bytes() == OTHER.encode() + b"name=\xff\xfe\n"
    assert [path.name for path in tmp_path.iterdir()] == ["kritarc"]


def test_settings_that_are_a_link_stay_one(tmp_path):
    (tmp_path / "real").write_text(OTHER)
    (tmp_path / "kritarc").symlink_to(tmp_path / "real")
    kritarc.enable(tmp_path / "kritarc")
    assert (tmp_path / "kritarc").is_symlink()
    assert "enable_layer_diffusion=true" in (tmp_path / "real").read_text()


def test_settings_file_that_held_only_the_switch_goes_with_it(tmp_path):
    assert kritarc.enable(tmp_path / "kritarc") and kritarc.disable(tmp_path / "kritarc")
    assert not any(tmp_path.iterdir())


def test_no_settings_file_is_made_to_switch_off(tmp_path):
    assert not kritarc.disable(tmp_path / "kritarc")
    assert not any(tmp_path.iterdir())
