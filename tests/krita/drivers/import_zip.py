"""Driver: Tools > Scripts > Import Python Plugin from File, with the zip `args["archive"]`.

With `args["again"]`: the start after it, when the docker is to be there.
"""

SHOWN_S = 20


def run(h):
    yield from imported(h) if h.args["again"] else importing(h)


def importing(h):
    from harness_driver.qt import QtCore, QtWidgets

    dialog = QtWidgets.QApplication.activeModalWidget
    # On a later turn: the action returns when its last dialog is closed.
    QtCore.QTimer.singleShot(0, h.krita.action("plugin_importer_file").trigger)
    yield h.until(lambda: isinstance(dialog(), QtWidgets.QFileDialog), SHOWN_S, "the question for a file")
    yield 0.5
    yield h.type_text(h.args["archive"])
    yield h.key("Return")
    yield h.until(lambda: isinstance(dialog(), QtWidgets.QMessageBox), SHOWN_S, "the question whether to switch it on")
    yield h.screenshot("asked")
    h.check("it is named", "Layer Diffusion" in dialog().text(), dialog().text())
    yield h.click(dialog().button(QtWidgets.QMessageBox.StandardButton.Yes))
    yield h.until(lambda: dialog() is None, SHOWN_S, "no further question")
    h.check("switched on", h.krita.readSetting("python", "enable_layer_diffusion", "") == "true")


def imported(h):
    h.new_document(256, 256)
    yield 1
    dock = h.docker("layer_diffusion")
    yield h.until(dock.panel.isVisible, SHOWN_S, "the docker")
    yield h.screenshot("docker")
    h.check("its actions are there", h.krita.action("layer_diffusion_generate") is not None)
