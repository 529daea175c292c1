"""The Qt binding that this Krita was built with: PyQt5 up to 5.x, PyQt6 from 6.0.

The choice follows Krita, never "try PyQt6 first": on a machine with both, importing the wrong one loads a second Qt
into the process. Enums are written in full everywhere, which both bindings understand.
"""

from krita import Krita

if int(Krita.instance().version().split(".")[0]) >= 6:
    from PyQt6 import QtCore, QtGui, QtWidgets
    from PyQt6.QtGui import QAction
else:
    from PyQt5 import QtCore, QtGui, QtWidgets
    from PyQt5.QtWidgets import QAction

__all__ = ["QAction", "QtCore", "QtGui", "QtWidgets"]
