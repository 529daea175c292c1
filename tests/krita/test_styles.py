"""Styles as files: those of the plugin, the person's own, and what replaces what."""

import json

import pytest


@pytest.fixture
def styles(plugin, tmp_path):
    """The module, and the styles of a folder that does not exist yet."""
    module = plugin("styles")
    return module, module.Styles(tmp_path / "styles")


def test_an_own_style_is_one_file_and_comes_back_whole(styles, tmp_path, plugin):
    module, kept = styles
    sampler = plugin("protocol.request").Sampler.UNIPC
    style = module.Style("Ink / night", "sdxl", "theirs", sampler, 33, 7.5, "ink of {prompt}", "colour", own=True)
    kept.put(style)
    assert [path.name for path in (tmp_path / "styles").iterdir()] == ["Ink-night.json"]
    assert kept.all()[-1] == style


def test_saving_again_replaces_it_and_another_name_does_not(styles):
    module, kept = styles
    for name, steps in (("Ink", 10), ("Ink", 12), ("Ink!", 14)):
        kept.put(module.Style(name, steps=steps, own=True))
    assert [(style.name, style.steps) for style in kept.all() if style.own] == [("Ink!", 14), ("Ink", 12)]


def test_a_shipped_style_can_be_changed_and_comes_back_when_that_is_deleted(styles):
    module, kept = styles
    shipped = kept.all()
    place = [style.name for style in shipped].index("SDXL")
    mine = module.Style("SDXL", "sdxl", steps=31, prompt="mine, {prompt}", own=True)
    kept.put(mine)
    assert kept.all() == [*shipped[:place], mine, *shipped[place + 1 :]]
    kept.remove("SDXL")
    assert kept.all() == shipped


@pytest.mark.parametrize(
    "wrong",
    [
        "no json", "[]", '{"name": ""}', '{"name": "x", "prompt": "without its place"}', '{"name": "x", "steps": 0}',
        '{"name": "x", "cfg": "high"}', '{"name": "x", "sampler": "none"}', '{"name": 3}',
    ],
)  # fmt: skip
def test_unusable_files_are_left_out_and_stay(styles, tmp_path, wrong):
    module, kept = styles
    shipped = kept.all()
    (tmp_path / "styles").mkdir()
    (tmp_path / "styles" / "x.json").write_text(wrong, encoding="utf-8")
    assert kept.all() == shipped
    kept.put(module.Style("x", own=True))
    assert (tmp_path / "styles" / "x.json").read_text(encoding="utf-8") == wrong
    assert kept.all()[-1].name == "x"


def test_a_style_that_cannot_be_written_leaves_the_old_one(styles, tmp_path, monkeypatch):
    module, kept = styles
    kept.put(module.Style("Ink", steps=10, own=True))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        kept.put(module.Style("Ink", steps=12, own=True))
    assert [path.name for path in (tmp_path / "styles").iterdir()] == ["Ink.json"]
    assert kept.all()[-1].steps == 10


def test_names_of_the_shipped_files_are_known_fields(styles):
    module, _ = styles
    known = {field.name for field in module.fields(module.Style)}
    for path in module.SHIPPED.glob("*.json"):
        assert set(json.loads(path.read_text(encoding="utf-8"))) <= known
