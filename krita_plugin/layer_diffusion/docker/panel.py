"""The panel: every widget of the docker and where it lies; it decides nothing."""

from __future__ import annotations

from .. import canvas
from ..operations import SOURCES, Task, name_of
from ..protocol.job import ModelInfo
from ..protocol.limits import MAX_BATCH
from ..protocol.request import Source
from ..qt import QtCore, QtWidgets
from ..settings import Settings
from ..translation import mark, told, tr
from . import fields
from .advanced import Advanced
from .icons import IconButton, cross, download, server
from .layer_prompts import LayerPrompts
from .objects import ObjectList
from .parts import MainButton, Message, Note, PaletteChange, Progress, Quiet, Section, State
from .picker import LayerPicker
from .place import PlaceBox
from .prompt import PromptEdit, Vocabulary
from .scrolling import FieldsArea
from .seed import SeedRow
from .selector import OperationSelector
from .size import Size
from .style_row import StyleRow

WAYS = {(Source.FOREGROUND,): mark("A foreground"), (Source.BACKGROUND,): mark("A background")}
Policy = QtWidgets.QSizePolicy.Policy


class Panel(QtWidgets.QWidget):
    """The fields above, which scroll when there is little room, and below them what is always at hand.

    What comes and goes lies below Generate, so that it stays under the mouse.
    """

    edited = QtCore.pyqtSignal()
    """One of the fields has another value."""
    shown = QtCore.pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("layer_diffusion_panel")
        self._make_operation()
        self._make_prompts()
        self._make_model()
        self.result_size = Size()
        self.seed = SeedRow()
        self.batch = fields.whole(
            "batch", 1, MAX_BATCH, tr("How many pictures; they become layers of one group, the first one shown.")
        )
        self.place = PlaceBox()
        self._make_controls()
        self._fields = self._bound()
        above = self._above()
        self._above_column = above.layout()
        self._area = FieldsArea(above)
        self._column = QtWidgets.QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addWidget(self._area)
        self._column.addWidget(self._below())
        self._connect()
        self.show_task()

    def showEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Tell the controller, which starts nothing before the docker is seen."""
        super().showEvent(event)
        self.shown.emit()

    def changeEvent(self, event) -> None:  # noqa: N802 - Qt's name
        """Follow the theme, with those parts that cannot do so by themselves."""
        super().changeEvent(event)
        if event.type() == PaletteChange:
            for part in (*self.findChildren(Quiet), *self.findChildren(Message), self._area):
                part.follow_theme()

    def embed(self, queue, results) -> None:
        """Put the list of jobs below the progress bar, and below that the results, which have what is left."""
        self._column.addWidget(queue)
        self._column.addWidget(results, 1)

    def introduce(self, first_start) -> None:
        """Put what is asked at the first start above all fields."""
        self._above_column.insertWidget(0, first_start)

    # What the person set

    @property
    def task(self) -> Task:
        """The chosen operation."""
        return self.operation.task

    @property
    def sources(self) -> tuple[Source, ...]:
        """What the chosen operation starts from, in the chosen way."""
        ways = self.task.ways
        return ways[min(self.way.currentIndex(), len(ways) - 1)] if self.way.count() else ways[0]

    def settings(self) -> Settings:
        """Return the fields' values."""
        return Settings(**{name: field.read() for name, field in self._fields.items()})

    def show_settings(self, settings: Settings) -> None:
        """Put values into the fields; a model that is not in the list follows when it is known."""
        for name, field in self._fields.items():
            field.show(getattr(settings, name))
        # The die says how the seed is shown, so that both are shown together.
        self.seed.show_seed(settings.seed, settings.random_seed)
        self.way.setCurrentIndex(settings.way)
        self.show_task()

    def show_models(self, models: tuple[ModelInfo, ...], wanted: str) -> None:
        """Fill the list of models, keeping the chosen one or else taking `wanted` where it is installed."""
        chosen = self.model.currentData() or wanted
        self.model.blockSignals(True)
        self.model.clear()
        for model in models:
            self.model.addItem(name_of(model), model.id)
        self.model.setCurrentIndex(max(0, self.model.findData(chosen)))
        self.model.setEnabled(bool(models))
        self.model.blockSignals(False)

    def show_model(self, model: ModelInfo | None) -> None:
        """Show what is known about the chosen model."""
        note = told(model.note) if model else ""
        self.note.say(note[:1].upper() + note[1:])
        self.model.setToolTip(name_of(model) if model else "")
        names = model.objects if model else ()
        self.vocabulary.names = names
        self.objects.setVisible(bool(names))
        self.objects.setToolTip(tr("What can it draw? ({count} things)", count=len(names)))
        self.operation.show_model(model)
        self._reason_shown()
        self.advanced_fields.show_family(model.family if model else "")

    def show_task(self) -> None:
        """Show the inputs of the chosen operation, and say on the button what it does."""
        task = self.task
        ways = task.ways
        if self.way.count() != len(ways):
            self.way.blockSignals(True)
            self.way.clear()
            for way in ways if len(ways) > 1 else ():
                self.way.addItem(tr(WAYS[way]))
            self.way.blockSignals(False)
        self.way_row.setVisible(len(ways) > 1)
        for source, picker in self.pickers.items():
            picker.setVisible(source in self.sources)
        self.strength_row.setVisible(task.refines)
        self.reblend_strength_row.setVisible(task.reblends)
        self.compare.setVisible(task.reblends)
        self.place.show_for(task.refines)
        self.layer_prompts.setVisible(bool(task.prompted))
        self.layer_prompt_lines.show_for(task.prompted)
        self.generate.say(tr(task.button), tr(task.name))
        self.generate.setToolTip(f"{tr(task.about)} ({tr('Ctrl+Enter in the prompt')})")
        self._reason_shown()

    def show_compare(self, is_possible: bool, is_shown: bool) -> None:
        """Offer to compare a re-blend with the layers where there is one, and say whether it is on the canvas."""
        words = tr("Shows the re-blend; without it the layers as Krita composites them.")
        self.compare.setEnabled(is_possible)
        self.compare.setChecked(is_shown)
        self.compare.setToolTip(words if is_possible else tr("There is no re-blend yet: press Re-blend first."))

    def show_cancel(self, jobs: int) -> None:
        """Offer to cancel the job that is going on, or all of `jobs`."""
        self.cancel.setEnabled(jobs > 0)
        self.cancel.setToolTip(tr("Cancel the oldest job; the arrow offers all of them.") if jobs > 1 else tr("Cancel"))
        self.cancel_all.setText(tr("Cancel all {count} jobs", count=jobs) if jobs > 1 else tr("Cancel all"))

    def show_status(self, text: str) -> None:
        """Show a quiet line while no job is going on."""
        self.status.setText(text)
        self.status.setToolTip(text)
        self.below.setCurrentWidget(self.status)

    def show_progress(self, text: str, fraction: float) -> None:
        """Show how far a job is, 0 to 1, and in words."""
        self.progress.say(text, fraction)
        self.below.setCurrentWidget(self.progress)

    # The widgets

    def _make_operation(self) -> None:
        self.operation = OperationSelector()
        self.operation_note = Note("operation_note")
        self.way = fields.Box("way", tr("What there is already."))
        self.way_row = fields.Row(tr("From"), self.way)
        usual = [tr(name) for name in canvas.MOVING.values()]
        self.pickers = {source: LayerPicker(source.value, tr(name), usual) for source, name in SOURCES.items()}
        self.strength = fields.decimal(
            "strength", 1, 0.05, tr("How much is drawn anew: 0 keeps the layer, 1 keeps nothing of it.")
        )
        self.strength_row = fields.Row(tr("Strength"), self.strength)
        self.reblend_strength = fields.decimal(
            "reblend_strength", 1, 0.05, tr("How much is drawn anew: 0 keeps the picture, 1 keeps nothing of it.")
        )
        self.reblend_strength_row = fields.Row(tr("Strength"), self.reblend_strength)

    def _make_prompts(self) -> None:
        self.vocabulary = Vocabulary()
        self.prompt = PromptEdit("prompt", tr("What should appear."), self.vocabulary)
        self.prompt.setPlaceholderText(tr("What should appear, for example: a red apple"))
        self.negative = PromptEdit("negative", tr("What should not appear."), lines=1)
        self.negative.setPlaceholderText(tr("Negative prompt"))
        self.layer_prompt_lines = LayerPrompts(self.vocabulary)
        self.prompts = (self.prompt, self.negative, *self.layer_prompt_lines.lines.values())
        self.layer_prompts = Section(tr("Prompts for single layers"), "layer_prompts", self.layer_prompt_lines)

    def _make_model(self) -> None:
        self.model = fields.Box("model")
        self.model.setEnabled(False)
        self.objects = QtWidgets.QToolButton()
        self.objects.setObjectName("objects")
        self.objects.setText("?")
        self.objects.hide()
        self.object_list = ObjectList(self)
        self.install = IconButton("models", download, tr("Install and remove models"))
        self.note = Note("model_note")
        self.note.hide()
        self.install_note = Note("install_note")
        self.install_note.hide()
        self.styles = StyleRow()
        self.advanced_fields = Advanced()
        self.advanced = Section(tr("Advanced"), "advanced", self.advanced_fields)

    def _make_controls(self) -> None:
        self.generate = MainButton("generate")
        self.compare = QtWidgets.QToolButton()
        self.compare.setText(tr("Compare"))
        self.compare.setObjectName("compare")
        self.compare.setMinimumHeight(30)
        self.compare.setCheckable(True)
        self.show_compare(False, False)
        # One button with a menu rather than a second button, which would move others under the mouse.
        self.cancel = IconButton("cancel", cross, "")
        self.cancel.setMinimumHeight(30)
        self.cancel.setPopupMode(QtWidgets.QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.cancel_menu = QtWidgets.QMenu(self.cancel)
        self.cancel_menu.setObjectName("cancel_menu")
        self.cancel_all = self.cancel_menu.addAction(tr("Cancel all"))
        self.cancel.setMenu(self.cancel_menu)
        self.progress = Progress("progress")
        self.error = Message("error", tr("Copy"), "error_copy", tr("Close"), alarming=True)
        self.kept = Message("kept", tr("Insert"), "insert", tr("Discard"), alarming=False)
        self.status = State("status")
        self.backend = IconButton("backend", server, tr("The backend: another machine, memory, log"))
        # In one place, so that nothing moves under the mouse when a job begins or ends.
        self.below = QtWidgets.QStackedWidget()
        self.below.addWidget(self.status)
        self.below.addWidget(self.progress)
        self.below.setSizePolicy(Policy.Preferred, Policy.Fixed)

    def _bound(self) -> dict[str, fields.Field]:
        """Every setting's widget."""
        pickers = {
            source.value: fields.Field(picker.wanted, picker.want, picker.changed)
            for source, picker in self.pickers.items()
        }
        return {
            "task": fields.Field(self.operation.currentData, self.operation.choose, self.operation.currentIndexChanged),
            "way": fields.Field(
                lambda: max(0, self.way.currentIndex()), self.way.setCurrentIndex, self.way.currentIndexChanged
            ),
            **pickers,
            "prompt": fields.text(self.prompt),
            "negative": fields.text(self.negative),
            **self.layer_prompt_lines.fields,
            "style": fields.Field(self.styles.wanted, self.styles.want, self.styles.chosen),
            "own_style": fields.Field(self.styles.is_own, self.styles.set_own, self.styles.chosen),
            "model": fields.Field(
                lambda: self.model.currentData() or "", self._choose_model, self.model.currentIndexChanged
            ),
            **self.result_size.fields,
            "seed": fields.Field(self.seed.seed, lambda _: None, self.seed.changed),
            "random_seed": fields.Field(self.seed.die.isChecked, lambda _: None, self.seed.changed),
            "batch": fields.number(self.batch),
            "place": fields.Field(self.place.wanted, self.place.want, self.place.wanted_another),
            "strength": fields.number(self.strength),
            "reblend_strength": fields.number(self.reblend_strength),
            **self.advanced_fields.fields,
            "advanced": fields.fold(self.advanced),
            "layer_prompts": fields.fold(self.layer_prompts),
        }

    def _connect(self) -> None:
        for field in self._fields.values():
            field.changed.connect(lambda *_: self.edited.emit())
        self.operation.currentIndexChanged.connect(lambda *_: self.show_task())
        self.way.currentIndexChanged.connect(lambda *_: self.show_task())
        self.objects.clicked.connect(lambda: self.object_list.open_at(self.objects, self.vocabulary.names))
        self.object_list.chosen.connect(self.prompt.add)

    def _above(self):
        model, rest = QtWidgets.QWidget(), QtWidgets.QWidget()
        chosen = fields.row(self.model, self.objects, self.install, stretch=self.model)
        fields.grid(model, [(tr("Model"), chosen), ("", self.note), ("", self.install_note)])
        fields.grid(rest, [(tr("Seed"), self.seed), (tr("Images"), self.batch), (tr("Place"), self.place)])
        pickers = self.pickers.values()
        holder = _column(
            self.operation, self.operation_note, self.way_row, *pickers, self.strength_row, self.reblend_strength_row,
            self.prompt, self.negative, self.layer_prompts, self.styles, model, self.result_size, rest, self.advanced,
            right=0,  # it is that of the scroll bar
        )  # fmt: skip
        holder.layout().addStretch(1)
        return holder

    def _below(self):
        buttons = fields.row(self.generate, self.compare, self.cancel, stretch=self.generate)
        return _column(buttons, fields.row(self.below, self.backend, stretch=self.below), self.error, self.kept)

    def _reason_shown(self) -> None:
        """Say why the chosen operation is not possible: it may have been chosen before the model."""
        self.operation_note.say(self.operation.reason)

    def _choose_model(self, model_id: str) -> None:
        index = self.model.findData(model_id)
        if index >= 0:
            self.model.setCurrentIndex(index)


def _column(*widgets, right: int = fields.RIGHT):
    holder = QtWidgets.QWidget()
    column = QtWidgets.QVBoxLayout(holder)
    column.setContentsMargins(fields.SPACE, fields.SPACE, right, fields.SPACE)
    column.setSpacing(fields.SPACE)
    for widget in widgets:
        column.addWidget(widget)
    return holder
