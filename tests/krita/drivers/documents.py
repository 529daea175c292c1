"""Driver: each document has its own fields, while it is open and in its file; with the stand-in."""

from pathlib import Path

from vocabulary import Docker


def run(h):
    path = str(Path(h.args["folder"]) / "first.kra")
    first = h.new_document(128, 128, "first")
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from d.made(first, "a first apple")
    d.find("steps").setValue(31)
    second = h.new_document(128, 128, "second")
    yield 1
    h.check("a new document begins with the fields of the one before", said(d) == ("a first apple", 31), said(d))
    yield from d.made(second, "a second apple")
    d.find("steps").setValue(12)
    h.krita.activeWindow().views()[0].setVisible()
    yield h.until(lambda: h.krita.activeDocument() == first, 10, "the first document in front")
    yield h.until(lambda: said(d) == ("a first apple", 31), 10, f"its fields, not {said(d)}")
    yield d.ready()
    yield from d.made(first, "a first apple")
    first.setBatchmode(True)
    h.check("saved", first.saveAs(path))
    first.close()
    yield h.until(lambda: said(d) == ("a second apple", 12), 10, f"the fields of the second document, not {said(d)}")
    opened = h.krita.openDocument(path)
    h.krita.activeWindow().addView(opened)
    h.krita.setActiveDocument(opened)
    yield h.until(lambda: said(d) == ("a first apple", 31), 10, f"the fields from the file, not {said(d)}")


def said(d):
    return d.find("prompt").toPlainText(), d.find("steps").value()
