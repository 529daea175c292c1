"""Krita's documents and layers, as this plugin needs them; the only package that calls libkis.

Everything here runs on the GUI thread. What Krita does with each of these calls, and which of them hang or crash when
they are made at the wrong moment, was measured on Krita 5.1, 5.2, 5.3 and 6.0.

Layers as pictures that go along with a request:

    choices(document)                    what a picker offers: (text of the choice, name for people) in order
    capture(document, choices, area)     exactly what is sent; `rgba(size)` of it makes straight RGBA, on any thread
    capture(document, choices, area, rows)   only some rows, for a thumbnail; `image(size)` of it makes a QImage
    image_of(rgba, size)                 pixels as a QImage
    Watch().has_changed(document, choice, area)  whether the picture is another one than at the last look
    bounds_of(document, choice)          the area that the choice covers, as the area to refine
    layer_of(document, choice)           the id of the one layer that a choice means, for `Place.REPLACE`

A choice is a text that settings can keep: `ACTIVE`, `SELECTED`, `BELOW`, `VISIBLE`, or a layer's id. All of these
raise `Trouble` with a sentence for people when there is nothing to read: no such layer, hidden, empty.

Results:

    insert(document, name, pictures, area, place, source)   one group, one undo step, where `Place` says
    follow_undo()                                     what makes it one step in the window in front
    Overlay().show(document, image, area)             a picture on the canvas that is no part of the document; `hide()`
    Annotations(document)                             records in the document's file, a `Store` of a history
    record_of(parts)                                  a record for them, made on any thread
    read_fields(document), write_fields(document, text)   what the docker's fields said in a document
    softness(document, area)                          what the selection lets through, for `pixels.clipped`
"""

from .annotations import Annotations, read_fields, record_of, write_fields
from .choices import ACTIVE, BELOW, MOVING, SELECTED, VISIBLE, bounds_of, choices, is_there, layer_of
from .documents import (
    active_document,
    area_of,
    data_folder,
    is_idle,
    is_open,
    is_selected,
    on_closing,
    read_setting,
    softness,
    version,
    write_setting,
)
from .inserting import Place, insert
from .overlay import Overlay
from .reading import Capture, capture, image_of
from .undo import follow_undo
from .watching import Watch

__all__ = [
    "ACTIVE",
    "BELOW",
    "MOVING",
    "SELECTED",
    "VISIBLE",
    "Annotations",
    "Capture",
    "Overlay",
    "Place",
    "Watch",
    "active_document",
    "area_of",
    "bounds_of",
    "capture",
    "choices",
    "data_folder",
    "follow_undo",
    "image_of",
    "insert",
    "is_idle",
    "is_open",
    "is_selected",
    "is_there",
    "layer_of",
    "on_closing",
    "read_fields",
    "read_setting",
    "record_of",
    "softness",
    "version",
    "write_fields",
    "write_setting",
]
