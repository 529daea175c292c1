"""What of the docker's texts does not fit into the widgets that show them."""

MARGIN = 2
"""Pixels that Qt leaves free on either side of a text in a box or a line."""


def outside(panel):
    """Names of the widgets that reach beyond the edge of the panel."""
    from harness_driver.qt import QtCore, QtWidgets

    return [
        widget.objectName() or type(widget).__name__
        for widget in panel.findChildren(QtWidgets.QWidget)
        if widget.isVisible() and widget.mapTo(panel, QtCore.QPoint(0, 0)).x() + widget.width() > panel.width()
    ]


def cut_off(d):
    """(name, text) of what is shown without room for all of it; of a progress bar the first part counts."""
    from harness_driver.qt import QtWidgets

    shown = (widget for widget in d.dock.panel.findChildren(QtWidgets.QWidget) if widget.isVisible())
    return [
        (widget.objectName() or type(widget).__name__, text)
        for widget in shown
        for text, room in _texts(d, widget)
        if widget.fontMetrics().horizontalAdvance(text) > room
    ]


def _texts(d, widget):
    """What a widget shows, each with the pixels that there are for it; what is high enough to wrap has room."""
    from harness_driver.qt import QtWidgets

    style, part = widget.style(), QtWidgets.QStyle.SubElement
    if isinstance(widget, QtWidgets.QComboBox):
        option = QtWidgets.QStyleOptionComboBox()
        widget.initStyleOption(option)
        edit = QtWidgets.QStyle.SubControl.SC_ComboBoxEditField
        room = style.subControlRect(QtWidgets.QStyle.ComplexControl.CC_ComboBox, option, edit, widget).width()
        return [(text, room - 2 * MARGIN) for text in _entries(d, widget)]
    if isinstance(widget, QtWidgets.QProgressBar):
        option = QtWidgets.QStyleOptionProgressBar()
        widget.initStyleOption(option)
        room = style.subElementRect(part.SE_ProgressBarLabel, option, widget).width()
        return [(widget.text().split(" · ")[0], room)]
    if isinstance(widget, QtWidgets.QLineEdit):  # of spin boxes, too
        option = QtWidgets.QStyleOptionFrame()
        option.initFrom(widget)
        option.lineWidth = style.pixelMetric(style.PixelMetric.PM_DefaultFrameWidth) if widget.hasFrame() else 0
        room = style.subElementRect(part.SE_LineEditContents, option, widget).width()
        return [(widget.text() or widget.placeholderText(), room - 2 * MARGIN)]
    if isinstance(widget, QtWidgets.QLabel):
        if widget.wordWrap():
            return [(widget.text(), 0)] if widget.heightForWidth(widget.width()) > widget.height() else []
        return [(line, widget.width()) for line in widget.text().split("\n")]
    if widget.objectName() == "generate":  # it has a shorter text, which is the operation's
        option = QtWidgets.QStyleOptionButton()
        widget.initStyleOption(option)
        room = style.subElementRect(part.SE_PushButtonContents, option, widget).width()
        return [(min(widget.text(), d.find("operation").currentText(), key=len), room)]
    if isinstance(widget, QtWidgets.QAbstractButton) and widget.text():
        return [(widget.text(), 0)] if widget.sizeHint().width() > widget.width() else []
    return []


def _entries(d, box):
    """The entries of a combo box that are the same for everybody, and the chosen one."""
    if box is d.find("model"):
        return [box.currentText()]
    picker = next((picker for picker in d.dock.panel.pickers.values() if picker.box is box), None)
    usual = 4 if picker else box.count()
    return [box.itemText(row) for row in range(min(usual, box.count()))] + [box.currentText()]
