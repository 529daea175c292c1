"""Connects the panel, the session, the network thread and the canvas."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable
from dataclasses import replace

from .. import asking, canvas
from ..backend_process import BackendProcess
from ..cards import Card
from ..geometry import Area, request_size
from ..jobs import Stage, kept_text
from ..link import Link
from ..notices import Busy, Fix, Notice, Trouble
from ..operations import BUILTIN, TASKS, task_for, why_not
from ..protocol.errors import LayerDiffusionError
from ..protocol.job import LayerSet, ModelInfo
from ..protocol.limits import MAX_SEED
from ..protocol.request import Input, Operation, Source
from ..qt import QtCore, QtWidgets
from ..rerolling import Reroll
from ..session import LinkState, Session
from ..settings import Settings, SizeMode, prompts_of, prompts_text
from ..styles import Styles
from ..translation import tr
from .arrivals import RETRY_MS, Arrivals
from .backend_control import Backend
from .backend_view import BackendView
from .background import Background
from .faults import faults
from .first_start import FirstStart, Way
from .inputs import Inputs, rendered
from .models import ModelsView
from .models_control import Models
from .panel import Panel
from .parts import BETWEEN
from .per_document import FieldsOfDocuments
from .queue import QueueView
from .results import ResultsView
from .results_control import Results, Surroundings
from .styling import Styling

LOOK_MS = 400
"""Krita does not tell when the selection or the active document changes; looking costs microseconds."""
SAVE_MS = 1000
START_MS = 500
MOST_TRIES = 40
"""How often Generate looks whether Krita is at rest, `RETRY_MS` apart, before it says that it is not."""
FIRST_PROMPT = "red apple"
"""Something that the built-in model can draw."""


@functools.cache
def backend() -> BackendProcess:
    """Return the one backend of this Krita, which all its windows share."""
    return BackendProcess(canvas.data_folder() / "backend.log")


class Controller(QtCore.QObject):
    """One for each docker."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self._panel = panel
        self._models: tuple[ModelInfo, ...] = ()
        self._fields = Settings.from_text(canvas.read_setting("fields", ""))
        self._backend = Backend(
            BackendView(panel), backend(), canvas.data_folder() / "remote.json", lambda: self._fields
        )
        self._link = Link(self._backend.locate, self._prepare, f"Krita {canvas.version()}", secrets.token_hex(16))
        self.session = Session(self._link.send, self._changed)
        self._link.changed.connect(self.session.connection)
        self._link.received.connect(self.session.received)
        self._backend.attach(self._link, self.session)
        panel.backend.clicked.connect(lambda: self._backend.open())
        self._background = Background()
        panel.destroyed.connect(self._background.stop)
        self._inputs = Inputs(panel, self._background)
        self._styling = Styling(
            panel.styles, Styles(canvas.data_folder() / "styles"), lambda: self._fields, self._show_fields,
            self.session.report,
        )  # fmt: skip
        self._styling.show_models(())
        self._queue = self._make_queue()
        view = ResultsView(self._why_not)
        panel.embed(self._queue, view)
        self.results = Results(view, Surroundings(self.session.report, self._ask, self._place_of_card, self._choose))
        self.arrivals = Arrivals(self.session, self.results)
        self._link.arrived.connect(self.arrivals.take)
        self._library = Models(
            ModelsView(panel), self._link.send, self.session.report, self._link.start, lambda: self._backend.is_remote
        )
        self._link.received.connect(self._library.received)
        self._library.said.connect(panel.install_note.say)
        panel.install.clicked.connect(lambda: self._library.open())
        self._introduce()
        self._of_documents = FieldsOfDocuments()
        self._looking = self._timer(LOOK_MS, self.look, single=False)
        self._looking_soon = self._timer(0, self.look)
        self._seen: tuple = (None, None)
        self._looking_at_inputs = self._timer(0, self._look_at_inputs)
        self._looking_at_results = self._timer(0, lambda: self.results.look(canvas.active_document()))
        self._saving = self._timer(SAVE_MS, self._save)
        self._tries = 0
        self._generating_soon = self._timer(RETRY_MS, self._try_to_generate)
        self._starting = self._timer(START_MS, self._link.start)
        self._starting.timeout.connect(self.arrivals.restore)
        panel.show_settings(self._fields)
        panel.shown.connect(self._shown)
        panel.edited.connect(self._edited)
        panel.model.activated.connect(lambda *_: self._follow_model())
        for edit in panel.prompts:
            edit.earlier = prompts_of(canvas.read_setting(f"{edit.name}s", ""))
            edit.submitted.connect(self.generate)
        panel.generate.clicked.connect(lambda: self.generate())
        panel.compare.clicked.connect(lambda: self.results.compare())
        self.results.comparing.connect(panel.show_compare)
        panel.cancel.clicked.connect(lambda: self.cancel())
        panel.cancel_all.triggered.connect(lambda: self.session.cancel_all())
        # Queued: it may happen anywhere, in the middle of what shows it too.
        faults().happened.connect(self._report, QtCore.Qt.ConnectionType.QueuedConnection)
        panel.error.acted.connect(self._copy_error)
        panel.error.closed.connect(self.session.dismiss)
        panel.error.mended.connect(self._mend)
        panel.kept.acted.connect(self.arrivals.insert_kept)
        panel.kept.closed.connect(self.arrivals.discard_kept)
        # The widgets are gone before Krita says that it closes, and with them this object; its parts are not.
        panel.destroyed.connect(functools.partial(_close, self._link, self._save))
        canvas.on_closing(backend().stop)
        self._changed()

    def _make_queue(self) -> QueueView:
        queue, session = QueueView(), self.session
        queue.cancelled.connect(lambda job_id: session.cancel(session.jobs[job_id]))
        queue.moved_first.connect(lambda job_id: session.move_first(session.jobs[job_id]))
        queue.cancelled_all.connect(lambda: session.cancel_all())
        return queue

    def _introduce(self) -> None:
        """Ask how to begin, once."""
        if canvas.read_setting("first_start", "") == "":
            first = FirstStart({
                Way.BUILTIN: self._try_builtin, Way.LAYERS: lambda: self._library.open(is_first=True),
                Way.REMOTE: lambda: self._backend.open(elsewhere=True),
            })  # fmt: skip
            first.done.connect(lambda: canvas.write_setting("first_start", "done"))
            self._panel.generate.clicked.connect(lambda: first.leave())
            self._panel.introduce(first)

    def _try_builtin(self) -> None:
        """Fill in what gives a first picture, and make it where there is a document."""
        self._show_fields(replace(self._fields, model=BUILTIN, prompt=self._fields.prompt or FIRST_PROMPT))
        self._follow_model()
        self._panel.prompt.setFocus()
        if self._model() is not None:
            self.generate()

    def _timer(self, interval: int, slot, single: bool = True):
        timer = QtCore.QTimer(self)
        timer.setInterval(interval)
        timer.setSingleShot(single)
        timer.timeout.connect(slot)
        return timer

    # What the person does

    def generate(self) -> None:
        """Ask for what the fields say; whatever is wrong with them is said in the error line.

        What Krita is about to finish is waited for, a stroke say, since it belongs to the layers that are asked about.
        """
        self._tries = MOST_TRIES
        self._try_to_generate()

    def _try_to_generate(self) -> None:
        self._tries -= 1
        if self._panel.seed.die.isChecked():
            self._panel.seed.show_seed(secrets.randbelow(MAX_SEED + 1), True)
        self._read_fields()
        settings, task = self._fields, self._panel.task
        self._link.start()
        try:
            document = canvas.active_document()
            if document is None:
                raise Trouble(tr("No document is open."), tr("Create or open one, then try again."))
            reason = why_not(task, self._model())
            if reason:
                raise Trouble(reason, tr("Choose another operation or another model."))
            area = self._area(document)
            size = request_size(area.width, area.height)
            captures = self._inputs.capture(document, area)
            inputs = tuple(Input(source, *size) for source in captures)
            request = asking.request(settings, task, self._panel.styles.style_chosen, size, inputs)
            place, source = self._place(document)
            clips = settings.clip and settings.size_mode is SizeMode.SELECTION
            softness = canvas.softness(document, area) if clips else None
        except Trouble as error:
            if isinstance(error, Busy) and self._tries > 0:
                self._generating_soon.start()
            else:
                self.session.report(error.notice)
        except LayerDiffusionError as error:
            self.session.report(Notice.of(error))
        except ValueError as error:
            self.session.report(Notice(str(error), tr("Choose another area or size.")))
        else:
            ask = functools.partial(
                self.session.generate, request, document, area, place=place, source=source, order=self._queue.order,
                softness=softness, typed=settings.prompt.strip(),
            )  # fmt: skip
            if captures or self._background.unfinished:
                self._background.do(
                    lambda: rendered(captures, size), lambda pixels: ask(inputs=pixels),
                    lambda error: self.session.report(Notice.of_any(error)),
                )  # fmt: skip
            else:
                ask()
            for edit in self._panel.prompts:
                if edit.isEnabled():
                    edit.remember()
            canvas.write_fields(document, settings.to_text())
            self._save()

    def _ask(self, reroll: Reroll, document, card: Card) -> None:
        """Ask for what comes from a card and not from the fields."""
        self._link.start()
        place, _ = self._place_of_card(document, "")
        self.session.generate(
            reroll.request, document, card.area, reroll.inputs, place, order=self._queue.order,
            softness=card.softness, typed=card.typed, staying=reroll.staying,
        )  # fmt: skip

    def _why_not(self, operation: Operation, model_id: str) -> str:
        return why_not(task_for(operation), next((model for model in self._models if model.id == model_id), None))

    def _choose(self, source: Source, layer: str) -> None:
        """Use a layer as a condition, for an operation that takes one."""
        if source not in self._panel.sources:
            self._panel.operation.choose(next(task.id for task in TASKS if source in task.ways[0]))
        self._panel.pickers[source].want(layer)
        self._edited()

    def _place(self, document) -> tuple[str, str]:
        """Where the result goes, and which layer it replaces."""
        place = self._panel.place.shown
        return place, self._inputs.replaceable(document) if place == canvas.Place.REPLACE.value else ""

    def _place_of_card(self, document, source: str) -> tuple[str, str]:
        """Where a result of the history goes: it replaces no layer but the one it was made from."""
        place = self._panel.place.shown
        if place != canvas.Place.REPLACE.value:
            return place, ""
        return (place, source) if source and canvas.is_there(document, source) else (canvas.Place.ABOVE.value, "")

    def cancel(self) -> None:
        """Stop the oldest job; the next one goes on."""
        going = [job for job in self.session.unfinished if job.stage is not Stage.CANCELLING]
        if going:
            self.session.cancel(going[0])

    def look_soon(self) -> None:
        """Look on a later turn: asked for the active layer, Krita 6 handles events, and so may destroy a window."""
        self._looking_soon.start()

    def look(self) -> None:
        """Follow document, layers and selection: the size of the result, and what the pickers offer and show.

        Fields, pickers and results are looked at on turns of their own, since each takes a while.
        """
        canvas.follow_undo()
        document, area = canvas.active_document(), None
        left = self._of_documents.follow(document, self._fields)
        if left is not None:
            self._show_fields(left)
            return
        try:
            if document is not None:
                area = self._area(document)
            note = self._size_text(area)
        except Trouble as error:
            note = tr(error.notice.message)
        except ValueError as error:
            note = str(error)
        self._panel.result_size.show_area(note, document is not None and canvas.is_selected(document))
        self._seen = document, area
        self._looking_at_inputs.start()
        self._looking_at_results.start()

    def _look_at_inputs(self) -> None:
        document, area = self._seen
        if document == canvas.active_document():  # or the next look is about another one
            self._inputs.look(document, area)

    def _area(self, document) -> Area:
        return canvas.area_of(document, self._fields.size_mode, self._fields.width, self._fields.height)

    def _size_text(self, area: Area | None) -> str:
        if area is None:
            return tr("No document is open.")
        width, height = request_size(area.width, area.height)
        if (width, height) != (area.width, area.height):
            made = f"{width} × {height}"
            return tr("{width} × {height} px, made at {made}", width=area.width, height=area.height, made=made)
        return "" if self._fields.size_mode is SizeMode.OWN else f"{width} × {height} px"

    def _prepare(self, job_id: str, layer_set: LayerSet):  # the connection's thread calls it
        job = self.session.jobs.get(job_id)
        return Results.prepare(job, layer_set) if job else ((), ())

    # The panel

    def _shown(self) -> None:
        self._looking.start()
        self._starting.start()
        self.look()

    def _edited(self) -> None:
        self._read_fields()
        self._saving.start()
        self._show_model()
        self.look_soon()

    def _read_fields(self) -> None:
        fields = self._panel.settings()
        # Before the models are known the field is empty, and the choice of last time stands.
        self._fields = replace(fields, model=fields.model or self._fields.model)

    def _changed(self) -> None:
        session, panel = self.session, self._panel
        if session.models != self._models:
            self._models = session.models
            panel.show_models(session.models, self._fields.model)
            self._styling.show_models(session.models)
            self._show_model()
            self._follow_model()  # at a first start, and where the one that was chosen is gone, nobody chose it
        panel.vocabulary.loras = session.loras
        unfinished = session.unfinished
        self._queue.show_jobs(unfinished)
        self.results.show_jobs(unfinished)
        panel.show_cancel(sum(job.stage is not Stage.CANCELLING for job in unfinished))
        jobs = unfinished or session.at(Stage.ARRIVED)
        if jobs:
            words = jobs[0].text() if session.link is LinkState.READY else tr(session.link.value)
            more = BETWEEN + tr("{count} more", count=len(jobs) - 1) if len(jobs) > 1 else ""
            panel.show_progress(words + more, jobs[0].fraction)
        else:
            panel.show_status(BETWEEN.join(filter(None, (tr(session.link.value), self._backend.place))))
        panel.kept.say(kept_text(session.at(Stage.KEPT)))
        notice = session.notice
        panel.error.say(str(notice or ""), tr(notice.fix.value) if notice and notice.fix else "")

    def _model(self) -> ModelInfo | None:
        return next((model for model in self._models if model.id == self._fields.model), None)

    def _show_model(self) -> None:
        self._read_fields()
        self._panel.show_model(self._model())

    def _show_fields(self, fields: Settings) -> None:
        self._panel.show_settings(fields)
        self._edited()

    def _report(self, notice: Notice) -> None:
        self.session.report(notice)

    def _follow_model(self) -> None:
        """Take the style of the model that the fields have."""
        model = self._model()
        if model is not None:
            self._styling.follow(model)

    def _mend(self) -> None:
        """Open what the notice names."""
        fix = self.session.notice.fix if self.session.notice else None
        if fix is Fix.MODELS:
            self._library.open()
        elif fix is not None:
            self._backend.open()
        if fix is Fix.DIAGNOSTICS:
            self._backend.diagnose()

    def _copy_error(self) -> None:
        QtWidgets.QApplication.clipboard().setText(self._panel.error.label.text())

    def _save(self) -> None:
        canvas.write_setting("fields", self._fields.to_text())
        for edit in self._panel.prompts:
            canvas.write_setting(f"{edit.name}s", prompts_text(edit.earlier))


def _close(link: Link, save: Callable[[], None], _panel=None) -> None:
    save()
    link.stop()
