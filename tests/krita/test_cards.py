"""Cards of results, their history, and what they are as text and as files."""

import base64
import io
import json
import random
import zlib
from dataclasses import replace

import pytest
from PIL import Image

SIDE = 64


@pytest.fixture
def made(plugin):
    """Makes the cards of a job of several images: a background with an input, a foreground and a hidden blend."""
    job, request, cards = plugin("protocol.job"), plugin("protocol.request"), plugin("cards")
    area = plugin("geometry").Area(-5, 6, SIDE, SIDE)

    def make(number=1, batch=1, made=1.0, prompt="a red apple", **changes):
        asked = request.Request(
            request.Operation.SCENE, "builtin", prompt, "bad", SIDE, SIDE, 4, 5.5, 2**32 - 2, batch, **changes
        )
        layers, pictures = [], []
        for image in range(batch):
            for index, role in enumerate(request.Operation.SCENE.makes):
                pixels = random.Random(100 * image + index).randbytes(SIDE * SIDE * 4)
                seed = (asked.seed + 3 * image + (1, 0, 2)[index]) % 2**32
                visible = role is not request.Role.BLEND
                box = job.Box(0, 0, SIDE, SIDE)
                layers.append(job.Layer(role, role.value, box, pixels, visible=visible, seed=seed, image=image))
                where = replace(area, width=SIDE - 1)
                pictures.append(
                    plugin("pixels").Picture(role.value, where, pixels[: -SIDE * 4], 1.0, visible, image)
                )
        layer_set = job.LayerSet(asked, tuple(layers), {"model_sha256": "0123456789abcdef", "torch": "2"})
        owner = plugin("jobs").Job(f"{number:032x}", asked, "document", area, source="{1}", typed="a cat")
        inputs = [bytes(range(256)) * 64 for _ in asked.inputs]
        ready = cards.cards_of(
            owner, inputs, layer_set.header, pictures, made, lambda _: (1, 2, b"12345678"), b"".join
        )
        return ready, pictures, inputs

    return make


class Records:
    """A store of a history, in memory."""

    def __init__(self, **records):
        self.held = dict(records)
        self.names, self.get = self.held.keys, self.held.__getitem__
        self.put, self.remove = self.held.__setitem__, self.held.__delitem__
        self.stars = {}
        self.is_favourite, self.favour = self.stars.get, self.stars.__setitem__


@pytest.fixture
def history(plugin):
    def opened(records, **limit):
        history = plugin("history").History(records, **limit)
        while not history.is_read:
            history.read_next()
        return history

    return opened


def with_head(card, **changes):
    """The record of a card with other values in its head, None for none."""
    line, rest = card.record.split(b"\n", 1)
    head = {**json.loads(line), **changes}
    return json.dumps({name: value for name, value in head.items() if value is not None}).encode() + b"\n" + rest


@pytest.mark.parametrize("piece", [1024**2, 64])
def test_card_comes_back_as_it_was_with_every_pixel(plugin, made, monkeypatch, piece):
    monkeypatch.setattr(plugin("cards"), "PIECE", piece)
    source, picture = plugin("protocol.request").Source, plugin("protocol.request").Input
    (card,), pictures, inputs = made(inputs=(picture(source.INIT, SIDE, SIDE),))
    back = plugin("cards").read(card.record)
    assert back == card and back.unpack() == (tuple(pictures), tuple(inputs))


def test_card_is_named_by_what_was_typed_and_knows_what_it_was_to_replace(plugin, made):
    (card,), *_ = made(prompt="masterpiece, a cat, best quality")
    assert (card.name, card.prompt, card.source) == ("a cat", "a cat", "{1}")
    before = plugin("cards").read(with_head(card, typed=None, source=None, clip=None))
    assert (before.prompt, before.source) == ("masterpiece, a cat, best quality", "")


@pytest.mark.parametrize(
    ("operation", "typed", "words", "group", "layer"),
    [
        ("SCENE", "a boat", {}, "a boat", "Foreground: a boat"),
        ("SCENE", None, {}, "ink of a boat", "Foreground: ink of a boat"),
        ("SCENE", "a boat", {"foreground_prompt": "red", "blend_prompt": "sea"}, "a boat", "Foreground: red"),
        ("SCENE", "", {"foreground_prompt": "red", "blend_prompt": "sea"}, "red, sea", "Foreground: red"),
        ("OBJECT", "a\nboat", {"batch": 3}, "a boat", "Foreground: a boat 3"),
        ("OBJECT", "", {}, "Object", "Foreground: Object"),
    ],
)
def test_names_say_what_was_typed_and_what_a_layer_is(plugin, operation, typed, words, group, layer):
    request, area = plugin("protocol.request"), plugin("geometry").Area(0, 0, SIDE, SIDE)
    values = {"batch": 1, **words}
    asked = request.Request(
        request.Operation[operation], "builtin", "ink of a boat", "", SIDE, SIDE, 4, 5.5, 1, **values
    )
    job = plugin("jobs").Job("1" * 32, asked, "document", area, typed=typed)
    assert (job.name, job.layer_name(request.Role.FOREGROUND, 2)) == (group, layer)


@pytest.mark.parametrize("change", [lambda clip: clip, lambda clip: clip[:8], lambda clip: clip[:7], lambda clip: ""])
def test_what_clips_a_card_comes_back_with_it_or_is_none(plugin, made, change):
    (card,), *_ = made()
    softness = random.Random(1).randbytes(SIDE * SIDE)
    clip = base64.b64encode(zlib.compress(softness)).decode()
    back = plugin("cards").read(with_head(card, clip=change(clip)))
    whole = change(clip) == clip
    assert (card.softness, back.softness) == (None, softness if whole else None)
    assert back.unpack() == card.unpack()


def test_each_image_of_a_batch_is_a_card_that_can_be_made_again(made):
    cards, pictures, _ = made(batch=2)
    assert [card.id for card in cards] == [f"{1:032x}-0", f"{1:032x}-1"]
    assert [(card.request.batch, card.request.seed) for card in cards] == [(1, 2**32 - 2), (1, 1)]
    assert cards[1].unpack()[0] == tuple(replace(picture, image=0) for picture in pictures[3:])


def test_damaged_pixels_are_told(made):
    (card,), *_ = made()
    whole, start = card.record, card.start
    many = zlib.compress(zlib.decompress(whole[start:]) + b"x")
    middle = start + 50
    for record in (whole[:-1], whole[:start], whole[:middle] + b"x" + whole[middle + 1 :], whole[:start] + many):
        with pytest.raises(ValueError, match=card.id):
            replace(card, record=record).unpack()


@pytest.mark.parametrize("damage", [b"", b"[]\n", b"{}\n", b"\xff\n"])
def test_record_that_cannot_be_read_stays_in_the_document(made, history, damage):
    records = Records(unknown=damage)
    assert history(records).cards == [] and records.held == {"unknown": damage}


def test_history_comes_back_newest_first(made, history):
    records = Records()
    first, second = made(1, batch=2, made=1.0)[0], made(2, made=2.0)[0]
    here = history(records)
    here.add(first)
    here.add(second)
    here.add(first)  # came again after a broken connection
    here.favour(first[1], True)
    expected = [second[0], first[0], replace(first[1], favourite=True)]
    assert here.cards == expected and history(records).cards == expected
    here.remove(first[0])
    assert history(records).cards == here.cards == [second[0], replace(first[1], favourite=True)]


def test_a_star_is_kept_apart_from_the_record_and_counts_more_than_one_in_it(made, history):
    (card,), *_ = made()
    records = Records(**{card.id: with_head(card, favourite=True)})  # as an earlier version wrote it
    held = dict(records.held)
    here = history(records)
    assert here.cards == [replace(card, favourite=True)]
    here.favour(here.cards[0], False)
    assert records.held == held and history(records).cards == here.cards == [card]


def test_a_result_that_comes_while_the_history_is_read_is_kept_and_is_the_first(plugin, made, history):
    records = Records()
    old, new = made(1, batch=2, made=1.0)[0], made(2, made=2.0)[0]
    history(records).add(old)
    here = plugin("history").History(records, limit=1)
    here.read_next()
    here.add(new)
    here.add(old)  # came again, before all of it was read
    assert not here.is_read and len(records.held) == 3
    here.read_next()
    assert here.is_read and here.cards == [*new, *old]


def test_the_oldest_go_when_there_is_no_more_room_but_no_favourites(made, history):
    records = Records()
    size = len(made()[0][0].record)
    here = history(records, limit=3 * size)
    for number in range(1, 3):
        here.add(made(number, made=float(number))[0])
    here.favour(here.cards[-1], True)
    for number in range(3, 5):
        here.add(made(number, made=float(number))[0])
    assert [card.made for card in here.cards] == [4.0, 3.0, 1.0]
    assert set(records.held) == {card.id for card in here.cards}


def test_the_newest_stays_however_large_it_is(made, history):
    here = history(Records(), limit=10)
    here.add(made(1)[0])
    here.add(made(2, made=2.0)[0])
    assert [card.made for card in here.cards] == [2.0]


def test_only_the_layer_of_two_that_stay_together_can_be_remade(plugin, made):
    rerolling, request = plugin("rerolling"), plugin("protocol.request")
    (card,), pictures, _ = made(foreground_prompt="shiny")
    assert rerolling.can_remake(card, request.Role.FOREGROUND)
    reroll = rerolling.remade(card, request.Role.FOREGROUND, 7, pictures)
    asked, (pixels,) = reroll.request, reroll.inputs
    assert (asked.operation, asked.seed) == (request.Operation.OBJECT_ON_BACKGROUND, 7)
    assert asked.inputs == (request.Input(request.Source.BACKGROUND, SIDE, SIDE),)
    assert asked.prompt == card.request.prompt
    assert reroll.staying == (card.layer_set.layers[0], pictures[0])
    rgba = plugin("pixels").to_rgba(pictures[0].pixels)
    assert pixels[: (SIDE - 1) * 4] == rgba[: (SIDE - 1) * 4] and pixels[(SIDE - 1) * 4 : SIDE * 4] == bytes(4)
    alone = replace(card, layer_set=replace(card.layer_set, layers=card.layer_set.layers[1:]))
    assert not rerolling.can_remake(alone, request.Role.FOREGROUND)


@pytest.mark.parametrize("again", ["FOREGROUND", "BACKGROUND"])
def test_the_layer_that_stays_makes_a_set_with_the_new_ones(plugin, made, again):
    rerolling, request, cards = plugin("rerolling"), plugin("protocol.request"), plugin("cards")
    (card,), pictures, _ = made(background_prompt="blue")
    role = request.Role[again]
    reroll = rerolling.remade(card, role, 7, pictures)
    # What the backend answers with: the other layers, by their own seeds, of which none is that of the one that stays.
    new = [
        (replace(layer, seed=7 + number), replace(picture, pixels=picture.pixels[::-1]))
        for number, (layer, picture) in enumerate(zip(card.layer_set.layers, pictures, strict=True))
        if layer.role in reroll.request.operation.makes
    ]
    headers, ready = zip(*new, strict=True)
    answer = replace(card.layer_set, request=reroll.request, layers=headers)
    whole, all_ready = rerolling.completed(answer, ready, reroll.staying)
    owner = plugin("jobs").Job("2" * 32, reroll.request, "document", card.area, staying=reroll.staying)
    (remade,) = cards.cards_of(
        owner, reroll.inputs, whole, all_ready, 2.0, lambda _: (1, 2, b"12345678"), b"".join
    )
    assert remade.roles == card.roles == request.Operation.SCENE.makes
    kept = card.roles.index(rerolling.AROUND[role][1])
    assert remade.unpack()[0][kept] == pictures[kept] and remade.layer_set.layers[kept] == card.layer_set.layers[kept]
    assert all(one.pixels != old.pixels for one, old in zip(all_ready, pictures, strict=True) if one != pictures[kept])
    assert remade.request == reroll.request and cards.read(remade.record) == remade
    text = plugin("parameters").infotext(remade.layer_set)
    assert "Layer Diffusion background prompt: blue" in text
    assert f"Layer Diffusion kept {card.roles[kept].value} seed: {card.layer_set.layers[kept].seed}" in text
    assert rerolling.can_remake(remade, role)
    everything = rerolling.again(remade, 9, reroll.inputs)
    assert everything == rerolling.Reroll(replace(card.request, seed=9), ())
    assert rerolling.again(card, 9, ()) == everything


def test_a_picture_that_sticks_out_is_cut_where_the_area_ends(plugin):
    pixels, area = plugin("pixels"), plugin("geometry").Area
    picture = pixels.Picture("x", area(-1, 1, 3, 2), bytes(range(24)), 1.0, True)
    filled = pixels.filled_up(picture, area(0, 0, 3, 2))
    assert filled == bytes(12) + bytes(range(4, 12)) + bytes(4)
    assert pixels.filled_up(picture, area(5, 5, 1, 1)) == bytes(4)


def test_text_is_what_automatic1111_writes(plugin, made):
    (card,), *_ = made(prompt="a <lora:x:1> apple\nred")
    lines = plugin("parameters").infotext(card.layer_set).split("\n")
    assert lines[:3] == ["a <lora:x:1> apple", "red", "Negative prompt: bad"]
    values = "Steps: 4, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 5.5, Seed: 4294967294, Size: 64x64"
    assert lines[3].startswith(f"{values}, Model: builtin, Model hash: 0123456789, ")
    assert lines[3].endswith("model_sha256: 0123456789abcdef, torch: 2") and len(lines) == 4


def test_values_with_commas_are_quoted(plugin, made):
    (card,), *_ = made(foreground_prompt="big, round")
    text = plugin("parameters").infotext(card.layer_set)
    assert f"Layer Diffusion foreground prompt: {json.dumps('big, round')}" in text


@pytest.mark.parametrize("text", ["plain, Größe", "日本"])
def test_png_keeps_colour_under_zero_alpha_and_its_text(plugin, text):
    rgba = bytes((10, 20, 30, 0, 1, 2, 3, 128, 255, 254, 253, 255)) * 2
    image = Image.open(io.BytesIO(plugin("png").png(3, 2, rgba, text)))
    image.load()
    assert (image.size, image.mode, image.tobytes()) == ((3, 2), "RGBA", rgba)
    assert image.info["parameters"] == text
