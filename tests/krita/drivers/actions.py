"""Driver: every action that Krita's shortcut editor lists does its thing by its keys; with the stand-in."""

import sys

from cards import card, click, count, preview
from vocabulary import Docker, nodes, paint, shortcut

RED, BLUE = (200, 30, 40, 255), (20, 60, 200, 255)


def run(h):
    document = h.new_document(320, 240)
    paint(document, "ground", BLUE, 0, 0, 320, 240)
    document.setActiveNode(paint(document, "square", RED, 32, 32, 32, 32))
    document.refreshProjection()
    yield 0.7
    d = Docker(h)
    yield d.ready()
    yield from d.pick("model", "all")
    acted = Acted(h)
    yield from prompts(h, d, acted, document)
    yield from fields(h, d, acted)
    yield from results(h, d, acted, document)
    yield from again(h, d, acted)
    yield from compared(h, d, acted)
    yield from jobs(h, d, acted)
    yield from windows(h, d, acted)
    known = set(sys.modules["layer_diffusion.registration"].ACTIONS)
    h.check("each of them", acted.names == known, acted.names ^ known)


class Acted:
    """Presses the keys of actions, and remembers the names of those that were triggered."""

    def __init__(self, h):
        self.h, self.names, self.times = h, set(), 0
        for name in sys.modules["layer_diffusion.registration"].ACTIONS:
            # After the plugin, which is connected already: what it does is done when this is called.
            h.krita.action(f"layer_diffusion_{name}").triggered.connect(lambda *_, name=name: self._happened(name))

    def _happened(self, name):
        self.names.add(name)
        self.times += 1

    def __call__(self, name):
        """Press its keys and wait until it has acted, with `yield from`."""
        before = self.times
        yield shortcut(self.h, name)
        yield self.h.until(lambda: self.times > before, 10, f"what {name} does")


def prompts(h, d, act, document):
    edit = d.find("prompt")
    yield from act("prompt")
    yield h.until(edit.hasFocus, 5, "the cursor in the prompt")
    yield h.type_text("a red apple")
    yield h.until(lambda: edit.toPlainText() == "a red apple", 5, "what was typed")
    known = len(nodes(document))
    yield from act("generate")
    yield h.until(lambda: len(nodes(document)) == known + 1, 30, "the layers")
    yield d.ready()
    yield from act("insert_at_once")
    h.check("no longer at once", not d.find("apply_at_once").isChecked())
    yield from d.enter("prompt", "a green apple")
    yield from act("generate")
    yield h.until(lambda: count(d) == 2, 30, "its card")
    yield d.ready()
    h.check("which waits", len(nodes(document)) == known + 1, nodes(document))
    for name, expected in (("earlier", "a green apple"), ("earlier", "a red apple"), ("later", "a green apple")):
        yield from act(f"{name}_prompt")
        h.check(f"the {name} prompt", edit.toPlainText() == expected, edit.toPlainText())


def fields(h, d, act):
    yield from act("next_operation")
    chosen = d.find("operation").currentData()
    h.check("the next operation", chosen == "object_on_background", chosen)
    yield from d.pick("operation", "object")
    for name, button in (("new_seed", d.dock.panel.seed.die), ("live_preview", d.find("live_preview"))):
        before = button.isChecked()
        yield from act(name)
        h.check(f"{name} pressed or released", button.isChecked() is not before)
        yield from act(name)
        h.check(f"{name} as before", button.isChecked() is before)


def results(h, d, act, document):
    yield from act("preview_result")
    yield h.until(lambda: preview(h) is not None, 5, "the newest one on the canvas")
    yield from act("next_result")
    yield h.until(lambda: d.find("results").current == card(d, 1), 5, "the next one")
    yield from act("previous_result")
    yield h.until(lambda: d.find("results").current == card(d, 0), 5, "the first one again")
    yield h.until(lambda: preview(h) is not None, 5, "the first one on the canvas")
    yield from act("preview_result")
    yield h.until(lambda: preview(h) is None, 5, "no preview")
    yield from act("favourite")
    yield h.until(lambda: card(d, 0).favourite, 5, "a favourite")
    yield from act("favourite")
    yield h.until(lambda: not card(d, 0).favourite, 5, "no longer")
    known = len(nodes(document))
    yield from act("insert_result")
    yield h.until(lambda: len(nodes(document)) == known + 1, 30, "the layers")


def again(h, d, act):
    """The newest one is made again where none is chosen."""
    yield from act("foreground_again")
    h.check("a single layer has nothing to be made for", "foreground and a background" in d.error(), d.error())
    known = count(d)
    yield from act("again")
    yield h.until(lambda: count(d) == known + 1, 30, "another one")
    yield d.ready()
    h.check("of the same prompt", card(d, 0).prompt == card(d, 1).prompt, card(d, 0).prompt)
    h.check("with another seed", card(d, 0).request.seed != card(d, 1).request.seed)
    yield from d.pick("operation", "scene")
    yield from d.start("scene")
    yield h.until(lambda: count(d) == known + 2, 30, "a scene")
    yield d.ready()
    for number, (role, operation) in enumerate(
        (("foreground", "object_on_background"), ("background", "background_for_object")), 3
    ):
        d.find("results").clearSelection()  # beside the cards there may be no room for a click
        yield from act(f"{role}_again")
        yield h.until(lambda number=number: count(d) == known + number, 30, f"another {role}")
        yield d.ready()
        asked = card(d, 0).request.operation.value
        h.check(f"the {role} alone", asked == operation and len(card(d, 0).roles) == 3, card(d, 0).request)


def compared(h, d, act):
    """Compare is about the re-blend, whichever card is chosen, and its button says what is on the canvas."""
    button = d.find("compare")
    h.check("nothing to compare", not button.isEnabled() and "Re-blend" in button.toolTip(), button.toolTip())
    known = count(d)
    yield from act("reblend")
    yield h.until(lambda: count(d) == known + 1 or d.error(), 30, "the blend")
    h.check("no error", not d.error(), d.error())
    yield h.until(lambda: preview(h) is not None, 5, "the blend on the canvas")
    h.check("its button is pressed", button.isEnabled() and button.isChecked())
    yield from act("compare")
    yield h.until(lambda: preview(h) is None, 5, "the layers")
    h.check("its button is released", button.isEnabled() and not button.isChecked())
    yield from click(h, d, 1)
    yield h.until(lambda: preview(h) is not None, 5, "another result on the canvas")
    h.check("which is no blend", not button.isChecked())
    yield h.click(button)
    yield h.until(lambda: preview(h) is not None and button.isChecked(), 5, "the blend on the canvas")
    yield 0.3
    yield h.screenshot("compared")
    yield h.click(button)
    yield h.until(lambda: preview(h) is None and not button.isChecked(), 5, "the layers again")
    yield from click(h, d, 0)
    yield h.key("Delete")
    yield h.until(lambda: not button.isEnabled(), 5, "nothing to compare")
    yield from d.pick("operation", "object")


def jobs(h, d, act):
    for prompt in ("held one", "held two", "held three"):
        yield from d.start(prompt)
    yield h.until(lambda: len(d.session.unfinished) == 3, 10, "three jobs")
    yield from act("cancel")
    yield h.until(lambda: len(d.session.unfinished) == 2, 10, "the others")
    left = [job.typed for job in d.session.unfinished]
    h.check("the oldest one was cancelled", left == ["held two", "held three"], left)
    yield from act("cancel_all")
    yield h.until(lambda: not d.session.jobs, 10, "no jobs")


def windows(h, d, act):
    for name in ("backend", "models"):
        window = d.find(f"{name}_view")
        yield from act(name)
        yield h.until(window.isVisible, 5, f"the window of the {name}")
        yield h.key("Escape")
        yield h.until(lambda window=window: not window.isVisible(), 5, f"no window of the {name}")
