"""Driver: faults put into the plugin on purpose: said in the docker, without a dialog and without a loss."""

import threading

from cards import count
from vocabulary import Docker, state

FAULT = "RuntimeError: injected"


def run(h):
    from harness_driver.qt import QtWidgets

    document = h.new_document(128, 128)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from d.tick("apply_at_once", False)
    yield from d.start("a red apple")
    yield h.until(lambda: count(d) == 1, 30, "the card")
    h.expect(FAULT)
    before = state(document)
    for name, inject in (("look", in_look), ("generate", in_generate), ("card", of_a_card), ("thread", in_a_thread)):
        mend = yield from inject(d)
        yield h.until(lambda name=name: f"{FAULT} in {name}" in d.error(), 10, f"the fault in {name}")
        h.check(f"{name}: what to do is said", "Diagnostics" in d.error(), d.error())
        yield h.click(d.find("error_close"))
        if name == "look":
            known = len(h.results["expected"])
            yield h.until(lambda known=known: len(h.results["expected"]) >= known + 3, 10, "three more of the same")
            h.check("closed, it stays closed", not d.error(), d.error())
        mend()
    h.check("none of them went on to Krita's dialog", h.results["passed_on"] == 0)
    h.check("nor is there one", QtWidgets.QApplication.activeModalWidget() is None)
    h.check("the document is as it was", state(document) == before and count(d) == 1)
    yield from of_others(h, d)
    yield from told(h, d)
    yield from d.start("a green apple")
    yield h.until(lambda: count(d) == 2, 30, "another card after all of that")
    document.setModified(False)


def fault(name):
    """A function that raises."""

    def fail(*_, **__):
        raise RuntimeError(f"injected in {name}")

    return fail


def in_look(d):
    """It happens again and again, and is said once."""
    fields = d.dock.controller._of_documents
    fields.follow = fault("look")
    yield
    return lambda: delattr(fields, "follow")


def in_generate(d):
    from layer_diffusion import asking

    true, asking.request = asking.request, fault("generate")
    yield d.h.click(d.find("generate"))
    return lambda: setattr(asking, "request", true)


def of_a_card(d):
    results = d.dock.controller.results
    results._delete = fault("card")
    yield d.h.click(d.find("results").viewport(), at=(50, 50))
    yield d.h.key("Delete")
    return lambda: delattr(results, "_delete")


def in_a_thread(_):
    from layer_diffusion.docker.background import Background

    Background()._waiting.put(type("Broken", (), {"__iter__": fault("thread")})())
    yield
    return lambda: None


def of_others(h, d):
    """What has nothing to do with the plugin goes where it went without it."""
    from harness_driver.qt import QtCore

    QtCore.QTimer.singleShot(0, fault("another plugin"))
    yield h.until(lambda: h.results["passed_on"] == 1, 10, "the fault of another plugin")
    threading.Thread(target=fault("another plugin's thread")).start()
    yield h.until(lambda: h.results["passed_on"] == 2, 10, "the fault of its thread")
    h.check("the docker says nothing of it", not d.error(), d.error())


def told(h, d):
    """The diagnostics name the places."""
    from harness_driver.qt import QtWidgets

    clipboard = QtWidgets.QApplication.clipboard()
    d.dock.controller._backend._copy(None)
    text = clipboard.text()
    part = text[text.index("== Errors of the plugin") :].split("\n== ")[0]
    for name in ("docker/controller.py", "docker/results_control.py", f"{FAULT} in thread"):
        h.check(f"{name} is in the diagnostics", name in part, part)
    h.check("others' are not", "another" not in part, part)
    yield 0.1
