"""The panel: every widget of the docker and where it lies; it decides nothing."""

from __future__ import annotations

from ..protocol.job import ModelInfo
from ..protocol.limits import MAX_BATCH, MAX_CFG, MAX_SIDE, MAX_STEPS, MIN_SIDE
from ..qt import QtCore, QtWidgets
from ..settings import Settings, SizeMode
from .objects import ObjectList
from .parts import Message, Note, Section, SeedRow
from .prompt import PromptEdit

SPACE = 6
SIZE_NAMES = {SizeMode.DOCUMENT: "Document", SizeMode.SELECTION: "Selection", SizeMode.OWN: "Own size"}
Policy = QtWidgets.QSizePolicy.Policy


class Panel(QtWidgets.QWidget):
    """The fields above, which scroll when there is little room, and below them what is always at hand."""

    edited = QtCore.pyqtSignal()
    """One of the fields has another value."""
    shown = QtCore.pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("layer_diffusion_panel")
        self._make_fields()
        self._make_controls()
        scroll = QtWidgets.QScrollArea()
        scroll.setObjectName("fields")
        scroll.setWidget(self._fields())
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(scroll, 1)
        column.addWidget(self._controls())

    def showEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Tell the controller, which starts nothing before the docker is seen."""
        super().showEvent(event)
        self.shown.emit()

    # What the person set

    def settings(self) -> Settings:
        """Return the fields' values."""
        return Settings(
            prompt=self.prompt.toPlainText(),
            negative=self.negative.text(),
            model=self.model.currentData() or "",
            size_mode=SizeMode(self.size_mode.currentData()),
            width=self.own_width.value(),
            height=self.own_height.value(),
            steps=self.steps.value(),
            cfg=self.cfg.value(),
            seed=self.seed.seed(),
            random_seed=self.seed.die.isChecked(),
            batch=self.batch.value(),
            advanced=self.advanced.head.isChecked(),
        )

    def show_settings(self, settings: Settings) -> None:
        """Put values into the fields; the model follows when the models are known."""
        self.prompt.setPlainText(settings.prompt)
        self.negative.setText(settings.negative)
        self.size_mode.setCurrentIndex(self.size_mode.findData(settings.size_mode.value))
        self.own_width.setValue(settings.width)
        self.own_height.setValue(settings.height)
        self.steps.setValue(settings.steps)
        self.cfg.setValue(settings.cfg)
        self.seed.show_seed(settings.seed, settings.random_seed)
        self.batch.setValue(settings.batch)
        self.advanced.head.setChecked(settings.advanced)
        self._own_size_shown()

    def show_models(self, models: tuple[ModelInfo, ...], wanted: str) -> None:
        """Fill the list of models, keeping the chosen one or else taking `wanted` where it is installed."""
        chosen = self.model.currentData() or wanted
        self.model.blockSignals(True)
        self.model.clear()
        for model in models:
            self.model.addItem(model.name, model.id)
        self.model.setCurrentIndex(max(0, self.model.findData(chosen)))
        self.model.setEnabled(bool(models))
        self.model.blockSignals(False)

    def show_model(self, model: ModelInfo | None) -> None:
        """Show what is known about the chosen model."""
        note = model.note if model else ""
        self.note.say(note[:1].upper() + note[1:])
        self.model.setToolTip(model.name if model else "")
        names = model.objects if model else ()
        self.prompt.names = names
        self.objects.setVisible(bool(names))
        self.objects.setToolTip(f"What can it draw? ({len(names)} things)")

    def show_cancel(self, jobs: int) -> None:
        """Offer to cancel the job that is going on, or all of `jobs`."""
        self.cancel.setEnabled(jobs > 0)
        self.cancel.setToolTip("Cancel the oldest job; the arrow offers all of them." if jobs > 1 else "")
        self.cancel_all.setText(f"Cancel all {jobs} jobs" if jobs > 1 else "Cancel all")

    def show_status(self, text: str) -> None:
        """Show a quiet line while no job is going on."""
        self.status.setText(text)
        self.below.setCurrentWidget(self.status)

    def show_progress(self, text: str, fraction: float) -> None:
        """Show how far a job is, 0 to 1, and in words."""
        self.progress.setValue(round(fraction * self.progress.maximum()))
        self.progress.setFormat(text)
        self.below.setCurrentWidget(self.progress)

    # The widgets

    def _make_fields(self) -> None:
        self.prompt = PromptEdit()
        self.prompt.setObjectName("prompt")
        self.prompt.setPlaceholderText("What should appear, for example: a red apple")
        self.prompt.setToolTip("The prompt. Ctrl+Enter generates.")
        self.negative = QtWidgets.QLineEdit()
        self.negative.setObjectName("negative")
        self.negative.setPlaceholderText("Negative prompt")
        self.negative.setToolTip("What should not appear.")
        self.model = QtWidgets.QComboBox()
        self.model.setObjectName("model")
        self.model.setSizePolicy(Policy.Ignored, Policy.Fixed)
        self.model.setEnabled(False)
        self.objects = QtWidgets.QToolButton()
        self.objects.setObjectName("objects")
        self.objects.setText("?")
        self.objects.hide()
        self.object_list = ObjectList(self)
        self.note = Note("model_note")
        self.size_mode = QtWidgets.QComboBox()
        self.size_mode.setObjectName("size_mode")
        for mode, name in SIZE_NAMES.items():
            self.size_mode.addItem(name, mode.value)
        self.own_width, self.own_height = self._side("own_width"), self._side("own_height")
        self.size_note = Note("size_note")
        self.seed = SeedRow()
        self.batch = QtWidgets.QSpinBox()
        self.batch.setObjectName("batch")
        self.batch.setRange(1, MAX_BATCH)
        self.batch.setToolTip("How many pictures; they become layers of one group, the first one shown.")
        self.steps = QtWidgets.QSpinBox()
        self.steps.setObjectName("steps")
        self.steps.setRange(1, MAX_STEPS)
        self.steps.setToolTip("How often the picture is refined.")
        self.cfg = QtWidgets.QDoubleSpinBox()
        self.cfg.setObjectName("cfg")
        self.cfg.setRange(0, MAX_CFG)
        self.cfg.setDecimals(1)
        self.cfg.setSingleStep(0.5)
        self.cfg.setToolTip("How strictly the picture follows the prompt.")

    def _side(self, name: str):
        field = QtWidgets.QSpinBox()
        field.setObjectName(name)
        field.setRange(MIN_SIDE, MAX_SIDE)
        field.setSingleStep(64)
        field.setSuffix(" px")
        return field

    def _make_controls(self) -> None:
        self.generate = QtWidgets.QPushButton("Generate")
        self.generate.setObjectName("generate")
        self.generate.setToolTip("Generate a layer (Ctrl+Enter in the prompt)")
        self.generate.setMinimumHeight(30)
        font = self.generate.font()
        font.setBold(True)
        self.generate.setFont(font)
        # One button with a menu rather than a second button, which would move others under the mouse.
        self.cancel = QtWidgets.QToolButton()
        self.cancel.setText("Cancel")
        self.cancel.setObjectName("cancel")
        self.cancel.setMinimumHeight(30)
        self.cancel.setPopupMode(QtWidgets.QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.cancel_menu = QtWidgets.QMenu(self.cancel)
        self.cancel_menu.setObjectName("cancel_menu")
        self.cancel_all = self.cancel_menu.addAction("Cancel all")
        self.cancel.setMenu(self.cancel_menu)
        self.progress = QtWidgets.QProgressBar()
        self.progress.setObjectName("progress")
        self.progress.setRange(0, 1000)
        self.error = Message("error", "Copy", "error_copy", "Close", alarming=True)
        self.kept = Message("kept", "Insert", "insert", "Discard", alarming=False)
        self.status = Note("status")
        # In one place, so that nothing moves under the mouse when a job begins or ends.
        self.below = QtWidgets.QStackedWidget()
        self.below.addWidget(self.status)
        self.below.addWidget(self.progress)
        self.below.setSizePolicy(Policy.Preferred, Policy.Fixed)

    def _fields(self):
        model = _row(self.model, self.objects, stretch=self.model)
        self.own_size = _row(self.own_width, QtWidgets.QLabel("×"), self.own_height)
        for side in (self.own_width, self.own_height):
            side.setSizePolicy(Policy.Expanding, Policy.Fixed)
        advanced = QtWidgets.QWidget()
        _grid(advanced, [("Steps", self.steps), ("CFG", self.cfg)])
        self.advanced = Section("Advanced", "advanced", advanced)
        self.advanced.head.setToolTip("Steps and CFG")
        fields = QtWidgets.QWidget()
        rows = [
            ("Model", model),
            ("", self.note),
            ("Size", self.size_mode),
            ("", self.own_size),
            ("", self.size_note),
            ("Seed", self.seed),
            ("Images", self.batch),
        ]
        table = QtWidgets.QWidget()
        _grid(table, rows)
        column = QtWidgets.QVBoxLayout(fields)
        column.setContentsMargins(SPACE, SPACE, SPACE, SPACE)
        column.setSpacing(SPACE)
        for widget in (self.prompt, self.negative, table, self.advanced):
            column.addWidget(widget)
        column.addStretch(1)
        self._connect_fields()
        return fields

    def _connect_fields(self) -> None:
        for signal in (
            self.prompt.textChanged,
            self.negative.textChanged,
            self.model.currentIndexChanged,
            self.size_mode.currentIndexChanged,
            self.own_width.valueChanged,
            self.own_height.valueChanged,
            self.steps.valueChanged,
            self.cfg.valueChanged,
            self.batch.valueChanged,
            self.seed.changed,
            self.advanced.toggled,
        ):
            signal.connect(lambda *_: self.edited.emit())
        self.size_mode.currentIndexChanged.connect(lambda *_: self._own_size_shown())
        self.objects.clicked.connect(lambda: self.object_list.open_at(self.objects, self.prompt.names))
        self.object_list.chosen.connect(self.prompt.add)

    def _controls(self):
        controls = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(controls)
        column.setContentsMargins(SPACE, SPACE, SPACE, SPACE)
        column.setSpacing(SPACE)
        for widget in (
            self.error,
            self.kept,
            _row(self.generate, self.cancel, stretch=self.generate),
            self.below,
        ):
            column.addWidget(widget)
        return controls

    def _own_size_shown(self) -> None:
        self.own_size.setVisible(self.size_mode.currentData() == SizeMode.OWN.value)


def _row(*widgets, stretch=None):
    holder = QtWidgets.QWidget()
    row = QtWidgets.QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget, 1 if widget is stretch else 0)
    return holder


def _grid(holder, rows: list) -> None:
    """Lay out (label, widget) pairs; the labels of both tables get the same width."""
    grid = QtWidgets.QGridLayout(holder)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(8)
    grid.setVerticalSpacing(SPACE)
    grid.setColumnStretch(1, 1)
    grid.setColumnMinimumWidth(0, holder.fontMetrics().horizontalAdvance("Images") + 4)
    for index, (label, widget) in enumerate(rows):
        if label:
            words = QtWidgets.QLabel(label)
            words.setBuddy(widget)
            grid.addWidget(words, index, 0)
        grid.addWidget(widget, index, 1)
