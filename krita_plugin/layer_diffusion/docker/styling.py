"""Connects the row of styles with the files of styles and with the fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..notices import Notice
from ..protocol.job import ModelInfo
from ..settings import Settings
from ..styles import Style, Styles
from ..translation import tr

VALUES = ("sampler", "steps", "cfg", "decoding")
"""What a style sets, by the names that they have in it and in the fields."""


class Styling:
    """`row` is a `StyleRow`; `fields` returns the fields as they are, `apply` shows changed ones."""

    def __init__(
        self, row, styles: Styles, fields: Callable[[], Settings], apply: Callable[[Settings], None],
        report: Callable[[Notice], None],
    ) -> None:  # fmt: skip
        self._row = row
        self._styles = styles
        self._fields = fields
        self._apply = apply
        self._report = report
        self._models: tuple[ModelInfo, ...] = ()
        row.chosen.connect(self._choose)
        row.saved.connect(self._save)
        row.deleted.connect(self._delete)

    def show_models(self, models: tuple[ModelInfo, ...]) -> None:
        """Enable the styles for which one of these models is there; all of them while none is known."""
        self._models = models
        styles = self._styles.all()
        usable = {style.name for style in styles if not models or style.model_of(models, "")}
        self._row.offer(styles, usable)

    def follow(self, model: ModelInfo) -> None:
        """Take the plugin's style for a model that was chosen, unless the person chose a style.

        Of its values those are taken where nobody changed what the style before it had set.
        """
        now = self._fields()
        style = self._styles.of(model)
        if now.own_style or style.name == now.style:
            return
        before = next((other for other in self._styles.all() if other.name == now.style), Style(""))
        names = [name for name in VALUES if getattr(now, name) == getattr(before, name)]
        self._apply(replace(now, style=style.name, **{name: getattr(style, name) for name in names}))

    def _choose(self, style: Style) -> None:
        now = self._fields()
        if not style.name:
            self._apply(replace(now, style=""))
            return
        model = style.model_of(self._models, now.model) or now.model
        values = {name: getattr(style, name) for name in VALUES}
        self._apply(replace(now, style=style.name, model=model, **values))

    def _save(self, style: Style) -> None:
        now = self._fields()
        family = next((model.family for model in self._models if model.id == now.model), "")
        values = {name: getattr(now, name) for name in VALUES}
        whole = replace(style, family=family, model=now.model, **values)
        self._do(lambda: self._styles.put(whole), tr("The style could not be saved"))
        self._row.want(style.name)

    def _delete(self, name: str) -> None:
        self._do(lambda: self._styles.remove(name), tr("The style could not be deleted"))

    def _do(self, change: Callable[[], None], failure: str) -> None:
        try:
            change()
        except OSError as error:
            self._report(Notice(f"{failure}: {error.strerror or error}.", tr("Check the disk and its permissions.")))
        self.show_models(self._models)
