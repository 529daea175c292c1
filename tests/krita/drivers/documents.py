"""Driver: each document has its own fields, while it is open and in its file; with the stand-in."""

from pathlib import Path

from vocabulary import Docker, close, front, in_file_dialog, to_canvas


def run(h):
    path = Path(h.args["folder"]) / "first.kra"
    first = h.new_document(128, 128, "first")
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from d.made(first, "a first apple")
    yield from d.enter("steps", 31)
    second = h.new_document(128, 128, "second")
    yield 1
    h.check("a new document begins with the fields of the one before", said(d) == ("a first apple", 31), said(d))
    yield from d.made(second, "a second apple")
    yield from d.enter("steps", 12)
    yield from front(h, first, 0)
    yield h.until(lambda: said(d) == ("a first apple", 31), 10, f"its fields, not {said(d)}")
    yield d.ready()
    yield from d.made(first, "a first apple")
    yield to_canvas(h)
    yield h.key("ctrl+s")
    yield from in_file_dialog(h, path)
    yield h.until(lambda: not first.modified() and path.exists(), 20, "the file")
    yield from close(h, first)
    yield h.until(lambda: said(d) == ("a second apple", 12), 10, f"the fields of the second document, not {said(d)}")
    yield h.key("ctrl+o")
    yield from in_file_dialog(h, path)
    yield h.until(lambda: said(d) == ("a first apple", 31), 10, f"the fields from the file, not {said(d)}")


def said(d):
    return d.find("prompt").toPlainText(), d.find("steps").value()
