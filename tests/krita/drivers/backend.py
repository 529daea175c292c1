"""Driver: the window of the backend: its memory, its log, diagnostics, stop and start, and another machine."""

import json
from pathlib import Path

from vocabulary import Docker


def run(h):
    root = Path(h.args["root"])
    h.new_document(256, 256)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from d.enter("prompt", "a secret prompt")
    yield h.click(d.find("backend"))
    yield h.until(d.find("backend_view").isVisible, 10, "the window")
    said = d.find("backend_state")
    h.check("says where and how", said.text() == "This machine: Ready", said.text())
    yield h.until(lambda: "stand-in listens" in d.find("backend_log").toPlainText(), 10, "the log")
    yield h.screenshot("backend")
    yield h.click(d.find("backend_unload"))
    yield h.until(lambda: said.text() == "The models' memory is free.", 10, "the answer")
    yield from diagnostics(h, d)
    h.check(
        "the memory is saved, as last time", d.find("backend_saving").isChecked() and "saves memory: yes" in copied()
    )
    yield from d.tick("backend_saving", False)
    h.check("remembered", h.krita.readSetting("layer_diffusion", "save_memory", "none") == "")
    yield h.click(d.find("backend_stop"))
    yield h.until(lambda: d.session.link.name == "IDLE", 10, "the end of the connection")
    yield h.until(lambda: (root / "ended").exists(), 10, "the end of the backend")
    yield from diagnostics_alone(h, d)
    yield h.click(d.find("backend_start"))
    yield d.ready()
    h.check("a new backend", len(list(root.glob("token-*"))) == 2)
    yield h.click(d.find("backend_diagnostics"))
    yield h.until(lambda: "saves memory: no" in copied(), 10, "no more memory saved than without the tick")
    yield from elsewhere(h, d, root)


def copied():
    """The text in the clipboard."""
    from harness_driver.qt import QtWidgets

    return QtWidgets.QApplication.clipboard().text()


def diagnostics(h, d):
    yield h.click(d.find("backend_diagnostics"))
    yield h.until(lambda: "== Backend" in copied(), 10, "the diagnostics")
    text = copied()
    h.check("versions, device and settings", all(part in text for part in ("Krita: ", "device: none", "steps: ")), text)
    h.check("the last errors", "out_of_memory" in text, text)
    h.check("no prompt and no secret", "secret" not in text, text)


def diagnostics_alone(h, d):
    """Without a backend the docker tells what it said itself."""
    from layer_diffusion.notices import Notice

    home = str(Path.home())
    d.session.report(Notice(f"{home}/file was not read for “a secret cat”.", "Try again."))
    d.session.report(Notice("secret.example.org:7000 does not answer.", "Is it on?"))
    yield h.click(d.find("backend_diagnostics"))
    yield h.until(lambda: "== Backend" not in copied(), 10, "the diagnostics without a backend")
    text = copied()
    h.check("what the docker said", "~/file was not read for …. Try again.\n… does not answer. Is it on?" in text, text)
    h.check("nothing private", "secret" not in text and home not in text, text)
    yield h.click(d.find("error_close"))


def elsewhere(h, d, root):
    """Another machine, which is a real server with TLS; first with what is wrong about it."""
    other = json.loads((root / "elsewhere").read_text())
    yield h.until(d.find("backend_view").isVisible, 5, "the window")
    d.find("backend_view").close()
    yield h.click(d.find("first_remote"))
    yield h.until(d.find("backend_view").isVisible, 5, "the window that the first start opens")
    h.check("ready to be told of another machine", d.find("backend_elsewhere").isChecked())
    for address, token, certificate, words in (
        ("nonsense", "", "", "is no address"),
        ("127.0.0.1:1", other["token"], other["certificate"], "127.0.0.1:1 does not answer."),
        (f"localhost:{other['port']}", other["token"], "", "The certificate cannot be trusted"),
        (f"localhost:{other['port']}", "wrong", other["certificate"], "does not accept the token"),
    ):
        yield from d.enter("backend_address", address)
        yield from d.enter("backend_token", token)
        yield from d.enter("backend_certificate", certificate)
        yield h.click(d.find("backend_connect"))
        yield h.until(lambda words=words: words in d.error(), 20, f"{words}, not {d.error()!r}")
    yield h.screenshot("refused_elsewhere")
    h.check("the error leads here", d.find("error_fix").text() == "Backend…", d.find("error_fix").text())
    yield from d.enter("backend_token", other["token"])
    yield h.click(d.find("backend_connect"))
    yield h.until(lambda: d.session.link.name == "READY", 20, "the connection to the other machine")
    said = d.find("backend_state").text()
    h.check("says where", said == f"localhost:{other['port']}: Ready", said)
    said = d.find("status").text()
    h.check("the docker, too", said == f"Ready · localhost:{other['port']}, encrypted", said)
    file = Path(h.krita.getAppDataLocation()) / "layer_diffusion" / "remote.json"
    h.check("remembered, for this user alone", file.stat().st_mode & 0o777 == 0o600, oct(file.stat().st_mode))
    yield h.click(d.find("backend_elsewhere"), at=(12, 8))
    yield h.until(lambda: d.find("backend_state").text() == "This machine: Ready", 20, "this machine again")
