"""What is said of model files and downloads, without Krita."""

from dataclasses import replace

import pytest


@pytest.fixture
def words(plugin):
    return plugin("docker.models_words")


def info(plugin, state, size=2_000_000_000, done=0):
    library = plugin("protocol.library")
    return library.FileInfo(
        "layer.safetensors", "transparent objects", "MIT", "someone/layers", "main", "0123abcd", "sdxl", 6 * 10**9,
        size, done, library.FileState(state),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (999_499_999, "999 MB"), (1e9, "1.0 GB"), (6.94e9, "6.9 GB")],
)
def test_amounts_of_bytes(words, size, text):
    assert words.amount(size) == text


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (("installed", "elsewhere"), "installed"),
        (("elsewhere", "elsewhere"), "elsewhere"),
        (("missing", "missing"), "missing"),
        (("missing", "installed"), "partial"),
        (("elsewhere", "partial"), "partial"),
    ],
)
def test_state_of_a_bundle(plugin, words, states, state):
    assert words.state_of([info(plugin, each) for each in states]).value == state


def test_what_is_here_of_a_bundle_and_how_large_it_is(plugin, words):
    files = [info(plugin, "partial", done=300_000_000), info(plugin, "elsewhere", done=2_000_000_000)]
    assert words.state_text(files) == "2.3 GB are here"
    assert words.size_text(files) == "4.0 GB"


def test_where_a_file_is_from_and_what_it_takes(plugin, words):
    assert words.details(info(plugin, "missing")).splitlines() == [
        "transparent objects", "MIT", "huggingface.co/someone/layers, main", "SHA-256 0123abcd…",
        "A job with it needs 6.0 GB of the graphics card's memory or more.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("done", "total", "speed", "paused", "text"),
    [
        (0, 0, 0.0, False, "Beginning…"),
        (0, 0, 0.0, True, "Beginning… · paused"),
        (0, 10**9, 0.0, False, "0 kB of 1.0 GB"),
        (5 * 10**8, 10**9, 25e6, False, "500 MB of 1.0 GB · 25 MB/s · 20 s left"),
        (0, 9 * 10**9, 1e7, False, "0 kB of 9.0 GB · 10 MB/s · 15 min left"),
        (0, 9 * 10**9, 1e6, False, "0 kB of 9.0 GB · 1 MB/s · 2.5 h left"),
        (10**9, 10**9, 25e6, True, "1.0 GB of 1.0 GB · paused"),
    ],
)
def test_how_far_a_download_is(plugin, words, done, total, speed, paused, text):
    library = plugin("protocol.library")
    download = library.Download(library.Work.INSTALL, ("sdxl",), done, total, speed, paused)
    assert words.download_text(download) == text
    assert words.work_text(download) == f"Installing: sdxl · {text}"


def test_what_is_done_and_what_models_are(plugin, words):
    library = plugin("protocol.library")
    search = library.Download(library.Work.SCAN, (), 0, 0, 0.0, False)
    assert words.work_text(search) == "Looking for models: Beginning…"
    assert words.work_text(replace(search, done=12)) == "Looking for models: 12 files looked at"
    assert words.own_text(library.OwnModel("one", "sdxl", "/home/me/models", "")) == "SDXL"
    assert words.own_text(library.OwnModel("one", "", "/home/me/models", "Convert it.")) == "cannot be used"


@pytest.mark.parametrize(
    ("state", "families", "bundle"),
    [
        ("missing", (), "sdxl-object"),
        ("partial", ("sd15", ""), "sdxl-object"),
        ("elsewhere", (), "sdxl-layers"),
        ("installed", (), "sdxl-layers"),
        ("missing", ("sdxl",), "sdxl-layers"),
    ],
)
def test_who_has_no_checkpoint_is_offered_one_with_the_first_layers(plugin, words, state, families, bundle):
    library, messages = plugin("protocol.library"), plugin("protocol.messages")
    both = ("juggernaut.safetensors", "attention.safetensors")
    states = dict(zip(both, (state, "installed"), strict=True))
    files = tuple(
        replace(info(plugin, each), name=name) for name, each in states.items()
    )
    bundles = (library.BundleInfo("sdxl-object", "", both), library.BundleInfo("sdxl-layers", "", both[1:]))
    own = tuple(library.OwnModel("mine", family, "", "") for family in families)
    assert words.first_bundle(messages.Files(bundles, files, own, (), None)) == bundle
