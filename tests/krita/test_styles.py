"""Styles as files: those of the plugin, the person's own, what replaces what, and which comes with a model."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from backend.builtin import CFG, DECODING


@pytest.fixture
def styles(plugin, tmp_path):
    """The module, and the styles of a folder that does not exist yet."""
    module = plugin("styles")
    return module, module.Styles(tmp_path / "styles")


def test_an_own_style_is_one_file_and_comes_back_whole(styles, tmp_path, plugin):
    module, kept = styles
    request = plugin("protocol.request")
    values = (request.Sampler.UNIPC, 33, 7.5, request.Decoding.FAST)
    style = module.Style("Ink / night", "sdxl", "theirs", *values, "ink of {prompt}", "colour", own=True)
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
        '{"name": "x", "cfg": "high"}', '{"name": "x", "sampler": "none"}',
        '{"name": "x", "decoding": 8}', '{"name": 3}',
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


MODELS = {"builtin": ("sd15", ("apple",)), "small": ("sd15", ("cat",)), "anime": ("sd15", ()), "xl": ("sdxl", ())}


@pytest.fixture
def fields(plugin, styles):
    """Fields that follow the models that are chosen, without a row of styles."""
    settings, row = plugin("settings"), SimpleNamespace(chosen=Signal(), saved=Signal(), deleted=Signal())
    now = SimpleNamespace(settings=settings.Settings())
    styling = plugin("docker.styling").Styling(
        row, styles[1], lambda: now.settings, lambda wanted: setattr(now, "settings", wanted), lambda _: None
    )

    def choose(name):
        family, objects = MODELS[name]
        styling.follow(plugin("protocol.job").ModelInfo(name, name, family, 512, (), "", objects))
        return now.settings

    now.choose = choose
    return now


class Signal:
    def connect(self, slot):
        """Nobody emits it."""


def test_a_chosen_model_brings_the_style_of_its_family(fields, plugin):
    sampler = plugin("protocol.request").Sampler
    said = [fields.choose(name) for name in ("xl", "anime", "builtin", "small")]
    assert [one.style for one in said] == ["SDXL", "SD1.5", "Built-in model", ""]
    assert [(one.sampler, one.cfg) for one in said] == [
        (sampler.DPMPP_2M_SDE_KARRAS, 5), (sampler.DPMPP_2M_KARRAS, 7), (sampler.DPMPP_2M_KARRAS, CFG),
        (sampler.DPMPP_2M_KARRAS, 5),
    ]  # fmt: skip
    assert [one.decoding.value for one in said] == ["full", "full", DECODING.value, "full"]


def test_what_a_person_set_stays_with_another_model(fields):
    fields.settings = replace(fields.settings, steps=33)
    assert (fields.choose("xl").style, fields.choose("xl").steps) == ("SDXL", 33)
    fields.settings = replace(fields.settings, cfg=3.5)
    changed = fields.choose("anime")
    assert (changed.style, changed.steps, changed.cfg) == ("SD1.5", 33, 3.5)


@pytest.mark.parametrize("style", ["", "SDXL draft"])
def test_a_style_that_a_person_chose_stays_with_another_model(fields, style):
    fields.settings = before = replace(fields.settings, style=style, own_style=True)
    assert fields.choose("xl") == before and fields.choose("anime") == before


def test_only_shipped_styles_come_by_themselves(fields, styles):
    module, kept = styles
    kept.put(module.Style("Mine", "sdxl", steps=9, own=True))
    kept.put(module.Style("SDXL", "sdxl", steps=31, prompt="mine, {prompt}", own=True))
    assert (fields.choose("xl").style, fields.choose("xl").steps) == ("SDXL", 31)
