"""The recipe of the built-in model: its list of objects, captions, vocabulary, latent basis and training loop."""

import gzip
import hashlib
import json
import random
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from backend.builtin import __main__ as rebuild
from backend.builtin import composite, dataset, scenes, shapes, translucent
from backend.builtin.captions import Captions, colour_word
from backend.builtin.codec import Codec, small_picture
from backend.builtin.latents import whiten
from backend.builtin.loop import run
from backend.builtin.material import CONDITIONS, FRAMES
from backend.builtin.vocabulary import BEGIN, END, train_vocabulary
from backend.engine.sharing_units import SharingLayers

REAL_KEYS = Path(__file__).parents[1] / "engine" / "data" / "real_keys.json.gz"


def test_list_of_objects_is_closed_and_without_doubles() -> None:
    things = dataset.things()
    assert len(things) >= 300
    names = [name for thing in things for name in thing.names]
    assert len(names) == len(set(names))
    assert len({thing.code for thing in things}) == len(things)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("apple", "an apple"),
        ("rose", "a rose"),
        ("soap bubbles", "soap bubbles"),
        ("dress", "a dress"),
        ("bus", "a bus"),
        ("unicorn", "a unicorn"),
        ("hourglass", "an hourglass"),
    ],
)
def test_captions_have_the_right_article(name: str, expected: str) -> None:
    assert dataset.fill("{article} {}", name) == expected


def test_package_with_a_wrong_hash_is_refused_and_removed(tmp_path: Path) -> None:
    archive = tmp_path / f"fluent-emoji-3d-{dataset.VERSION}.tgz"
    archive.write_bytes(b"not the package")
    with pytest.raises(RuntimeError, match="not the expected file"):
        dataset.fetch(tmp_path)
    assert not archive.exists()
    assert hashlib.sha256(b"not the package").hexdigest() != dataset.SHA256


def test_a_registry_that_cuts_the_package_short_is_named_and_nothing_stays(monkeypatch, capsys, tmp_path: Path) -> None:
    def answer() -> None:
        asked, _ = server.accept()
        with asked:
            asked.recv(4096)
            asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, daemon=True).start()
        registry = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr("sys.argv", ["python -m backend.builtin", "--work", str(tmp_path), "--registry", registry])
        with pytest.raises(SystemExit) as ended:
            rebuild.main()
    assert ended.value.code == 2 and "another npm registry" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "the following arguments are required: --work"),
        (("--work", "WORK/file"), "cannot be fetched into WORK/file"),
        (("--work", "WORK", "--registry", "http://127.0.0.1:1"), "--registry another npm registry"),
        (("--work", "WORK", "--registry", "nowhere"), "--registry another npm registry"),
        (("--work", "WORK", "--pairs", "0"), "0 is not above 0"),
        (("--work", "WORK", "--every", "some"), "invalid positive value: 'some'"),
    ],
)
def test_the_rebuild_says_what_to_do_before_it_begins(monkeypatch, capsys, tmp_path: Path, options, said) -> None:
    (tmp_path / "file").touch()
    words = [word.replace("WORK", str(tmp_path)) for word in options]
    monkeypatch.setattr("sys.argv", ["python -m backend.builtin", *words])
    with pytest.raises(SystemExit) as ended:
        rebuild.main()
    assert ended.value.code == 2 and said.replace("WORK", str(tmp_path)) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rgb", "word"),
    [((220, 30, 30), "red"), ((40, 160, 60), "green"), ((250, 250, 250), "white"), ((110, 70, 40), "brown")],
)
def test_colour_words(rgb: tuple[int, int, int], word: str) -> None:
    picture = torch.tensor((*rgb, 255), dtype=torch.uint8).view(4, 1, 1).expand(4, 8, 8)
    assert colour_word(picture) == word


def test_vocabulary_writes_known_words_as_one_token_and_never_fails(tmp_path: Path) -> None:
    pictures = torch.zeros(2, 4, 8, 8, dtype=torch.uint8)
    captions = Captions([dataset.Thing("x", ("apple",)), dataset.Thing("y", ("teapot",))], pictures)
    tokenizer = train_vocabulary(captions.all() * 3, tmp_path)
    assert tokenizer.convert_ids_to_tokens(tokenizer("an apple").input_ids) == [BEGIN, "an</w>", "apple</w>", END]
    unknown = tokenizer("žluťoučký 猫 #7").input_ids
    assert END not in tokenizer.convert_ids_to_tokens(unknown[1:-1])
    assert captions.draw(1, random.Random(0)).count("teapot") == 1


def test_whitening_changes_the_basis_but_not_the_pictures() -> None:
    torch.manual_seed(0)
    codec = Codec().eval()
    with torch.no_grad():
        next(reversed(list(codec.offset.parameters()))).normal_(std=0.1)
        rgba, opaque = torch.rand(4, 4, 64, 64), torch.rand(2, 3, 64, 64)
        before = codec.decode(codec.encode(rgba))
        whiten(codec, rgba, opaque)
        latent = codec.encode(rgba)
        after = codec.decode(latent)
        plain = codec.encode_picture(2 * opaque - 1)
    flat = torch.cat([latent, plain]).permute(1, 0, 2, 3).flatten(1)
    channels = shapes.LATENT_CHANNELS
    torch.testing.assert_close(flat.mean(1), torch.zeros(channels), atol=1e-3, rtol=0)
    torch.testing.assert_close(torch.cov(flat), torch.eye(channels), atol=1e-2, rtol=0)
    torch.testing.assert_close(after, before, atol=2e-4, rtol=1e-3)


def test_training_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    def lesson() -> tuple[torch.nn.Linear, list[float]]:
        torch.manual_seed(0)
        model, seen = torch.nn.Linear(2, 1), []

        def loss(source: random.Random, done: float) -> torch.Tensor:
            seen.append(done)
            x = torch.randn(16, 2)
            return (model(x) - x.sum(1, keepdim=True)).square().mean()

        run(tmp_path / "state.pt", model, loss, minutes=budget, learning_rate=1e-2)
        return model, seen

    budget = 0.005
    _, seen = lesson()
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    assert saved["step"] == len(seen)
    budget = 0.02
    _, later = lesson()
    assert later[0] > 0.2, "the second start begins where the first ended"
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == len(seen) + len(later)


@pytest.mark.parametrize("index", range(len(scenes.SCENES)), ids=lambda index: scenes.SCENES[index].names[0])
def test_scenes_are_the_same_for_a_seed_and_differ_between_seeds(index: int) -> None:
    picture, ground = scenes.draw(index, 1, 64)
    again, _ = scenes.draw(index, 1, 64)
    other, _ = scenes.draw(index, 2, 64)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
    assert np.array_equal(picture, again) and not np.array_equal(picture, other)
    assert ground is None or 0.2 < ground < 0.95


@pytest.mark.parametrize("name", translucent.TRANSLUCENT)
def test_translucent_things_have_soft_alpha_and_an_empty_border(name: str) -> None:
    for seed in range(3):
        alpha = translucent.draw(name, seed, 64)[..., 3]
        assert ((alpha > 10) & (alpha < 245)).mean() > 0.05
        assert max(alpha[0].max(), alpha[-1].max(), alpha[:, 0].max(), alpha[:, -1].max()) < 8


def test_objects_stand_on_the_ground_and_only_what_stands_throws_a_shadow() -> None:
    ball = torch.zeros(2, 4, 64, 64)
    ball[:, 0] = 1.0
    ball[:, 3, 8:56, 8:56] = 1.0
    ground = torch.tensor([0.8, float("nan")])
    placed = composite.stand(ball, ground, torch.Generator().manual_seed(1))
    *_, bottom = composite.extent(placed[:, 3:])
    assert 0.8 <= (bottom[0].item() + 1) / 2 <= 0.98
    mixed = composite.blend(placed, torch.ones(2, 3, 64, 64), ground)
    outside = placed[:, 3] == 0
    assert mixed[0][:, outside[0]].min() < 0.9
    assert mixed[1][:, outside[1]].min() == 1.0


def test_captions_tell_of_places_and_of_objects_in_them() -> None:
    captions = Captions([dataset.Thing("x", ("apple",))], torch.zeros(1, 4, 8, 8, dtype=torch.uint8))
    beach = next(index for index, scene in enumerate(scenes.SCENES) if scene.names[0] == "beach")
    assert "an apple on a beach" in captions.blend(0, beach, random.Random(0))
    assert any(name in captions.scene(beach, random.Random(0)) for name in scenes.SCENES[beach].names)


@pytest.mark.parametrize("mode", FRAMES)
def test_units_to_be_trained_have_the_keys_of_the_released_file(mode: str) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**shapes.UNET)
        widths = shapes.CONTROL_WIDTHS if mode in CONDITIONS else None
        layers = SharingLayers.for_unet(unet, shapes.SHARING_RANK, len(FRAMES[mode]), widths)
    with gzip.open(REAL_KEYS) as file:
        assert set(layers.state_dict()) == set(json.load(file)[f"layer_sd15_{mode}.safetensors"])


def test_the_latent_is_held_near_means_and_slopes() -> None:
    rgba = torch.zeros(1, 4, 16, 16)
    rgba[:, 3, :, 4:] = 1
    rgba[:, :3, :, 4:] = torch.tensor([1.0, 0.5, 0.0]).view(3, 1, 1)
    small = small_picture(rgba)
    assert small.shape == (1, 8, 2, 2)
    torch.testing.assert_close(small[0, :4, 0, 1], torch.tensor([1.0, 0.0, -1.0, 1.0]))
    torch.testing.assert_close(small[0, :, 0, 0], torch.tensor([0.5, 0.0, -0.5, 0.5, 0.0, 1.0, 0.0, 0.0]))


def test_objects_file_is_what_the_docker_offers() -> None:
    entries = json.loads(dataset.OBJECTS_FILE.read_text("utf-8"))
    assert all(set(entry) <= {"code", "name", "group", "synonyms", "opacity"} for entry in entries)
