"""The Qt binding that this Krita was built with: PyQt5 up to 5.x, PyQt6 from 6.0.

The choice follows Krita, never "try PyQt6 first": on a machine with both, importing the wrong one loads a second Qt
into the process. Enums are written in full everywhere, which both bindings understand.
"""

from importlib import import_module
from typing import Any

from krita import Krita

BINDING = "PyQt6" if int(Krita.instance().version().split(".")[0]) >= 6 else "PyQt5"

QtCore: Any = import_module(f"{BINDING}.QtCore")
QtGui: Any = import_module(f"{BINDING}.QtGui")
QtWidgets: Any = import_module(f"{BINDING}.QtWidgets")
