"""The window of the models: bundles, their files, what the person has besides, and the work that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..protocol.library import BundleInfo, Download, FileInfo, FileState, OwnModel, Work
from ..qt import QtCore, QtWidgets
from ..translation import told, tr
from . import fields
from .models_words import HERE, amount, details, own_text, size_text, state_of, state_text, work_text
from .parts import Note

NAME, NOTE = QtCore.Qt.ItemDataRole.UserRole, QtCore.Qt.ItemDataRole.UserRole + 1
SIZE = (560, 420)
PARTS = 1000
"""Of the bar of progress."""
Buttons = QtWidgets.QMessageBox.StandardButton


class ModelsView(QtWidgets.QDialog):
    """A list of bundles that unfold to their files and of other models, buttons for the chosen one, and the work."""

    installed = QtCore.pyqtSignal(str)
    """Name of the bundle or file to install."""
    removed = QtCore.pyqtSignal(str)
    """Name of the bundle or file to remove, after the person said yes."""
    verified = QtCore.pyqtSignal(str)
    """Name of the bundle or file to check, or "" for all."""
    scanned = QtCore.pyqtSignal(str)
    """Folder to look into, "" for where other programs usually have their models."""
    paused = QtCore.pyqtSignal(bool)
    cancelled = QtCore.pyqtSignal()

    def __init__(self, parent) -> None:
        super().__init__(parent)
        self.setObjectName("models_view")
        self.setWindowTitle(tr("Models"))
        self.resize(*SIZE)
        self._files: dict[str, tuple[FileInfo, ...]] = {}
        self._bundles: tuple[BundleInfo, ...] = ()
        self._download: Download | None = None
        self.list = self._make_list()
        self.note = Note("models_note")
        self.install = self._button("models_install", tr("Install"))
        self.install.clicked.connect(lambda: self.installed.emit(self.chosen))
        self.remove = self._button("models_remove", tr("Remove…"))
        self.remove.clicked.connect(lambda: self._ask_to_remove())
        self.verify = self._button("models_verify", tr("Check"))
        self.verify.setToolTip(tr("Reads the files to their end; what is damaged can be installed again."))
        self.verify.clicked.connect(lambda: self.verified.emit(self.chosen))
        self.scan = self._button("models_scan", tr("Find models"))
        self.scan.setToolTip(
            tr("Looks into the folders of krita-ai-diffusion, ComfyUI, Forge, Automatic1111 and Hugging Face.")
        )
        self.scan.clicked.connect(lambda: self.scanned.emit(""))
        self.scan_folder = self._button("models_scan_folder", tr("In a folder…"))
        self.scan_folder.setToolTip(tr("Finds models in a folder that you choose; they are used where they are."))
        self.scan_folder.clicked.connect(lambda: self._ask_for_folder())
        self._make_download()
        self.outcome = Note("models_outcome")
        column = QtWidgets.QVBoxLayout(self)
        column.addWidget(self.list, 1)
        column.addWidget(self.note)
        column.addWidget(fields.row(self.install, self.remove, self.verify, self.scan, self.scan_folder))
        column.addWidget(self.download_box)
        column.addWidget(self.outcome)
        self.show_files((), (), ())
        self.show_download(None)

    @property
    def chosen(self) -> str:
        """Name of the bundle or file that is chosen, or ""."""
        item = self.list.currentItem()
        return (item.data(0, NAME) or "") if item is not None else ""

    def choose(self, name: str) -> None:
        """Choose a bundle."""
        for item in map(self.list.topLevelItem, range(self.list.topLevelItemCount())):
            if item.data(0, NAME) == name:
                self.list.setCurrentItem(item)

    def show_files(
        self, bundles: Sequence[BundleInfo], files: Sequence[FileInfo], models: Sequence[OwnModel]
    ) -> None:
        """Show what can be installed, what is, and what there is besides; the rows of bundles stay where they are."""
        known = {file.name: file for file in files}
        self._files = {name: (file,) for name, file in known.items()}
        self._files.update((one.name, tuple(known[name] for name in one.files)) for one in bundles)
        if self._bundles != tuple(bundles):
            self._bundles = tuple(bundles)
            self.list.clear()
            for bundle in bundles:
                head = self._row(self.list, bundle.name, tr(bundle.purpose))
                for name in bundle.files:
                    row = self._row(head, name, name, details(known[name]))
                    row.setData(0, NOTE, details(known[name]))
            self.list.setCurrentItem(self.list.topLevelItem(0))
        self._show_own(models)
        iterator = QtWidgets.QTreeWidgetItemIterator(self.list)
        while iterator.value() is not None:
            item = iterator.value()
            if item.data(0, NAME):
                those = self._files[item.data(0, NAME)]
                item.setText(1, size_text(those))
                item.setText(2, state_text(those))
            iterator += 1
        self._enable()

    def _show_own(self, models: Sequence[OwnModel]) -> None:
        """Make the rows of models that are no part of the catalogue, below all others."""
        head = self.list.topLevelItem(len(self._bundles))
        if head is None and models:
            head = QtWidgets.QTreeWidgetItem(self.list, [tr("Your own models, and those of other programs")])
        if head is None:
            return
        head.takeChildren()
        head.setHidden(not models)
        for model in models:
            item = QtWidgets.QTreeWidgetItem(head, [model.name, "", own_text(model)])
            item.setData(0, NOTE, "\n".join(filter(None, (model.place, told(model.note)))))
            item.setToolTip(0, item.data(0, NOTE))
        head.setExpanded(True)

    def show_download(self, download: Download | None) -> None:
        """Show how far the installation is; None when none goes on."""
        self._download = download
        self.download_box.setVisible(download is not None)
        if download is not None:
            self.outcome.say("")
            share = download.done / download.total if download.total else 0
            # Of a search nobody knows the end: Qt shows that by a bar without a maximum.
            self.bar.setMaximum(0 if download.work is Work.SCAN else PARTS)
            self.bar.setValue(round(share * PARTS))
            self.words.setText(work_text(download))
            self.pause.setText(tr("Go on") if download.paused else tr("Pause"))
        self._enable()

    def _make_list(self):
        tree = QtWidgets.QTreeWidget()
        tree.setObjectName("models_list")
        tree.setHeaderLabels([tr("What"), tr("Size"), tr("State")])
        header = tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QtWidgets.QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QtWidgets.QHeaderView.ResizeMode.ResizeToContents)
        tree.currentItemChanged.connect(lambda *_: self._enable())
        return tree

    def _make_download(self) -> None:
        self.words = Note("models_download")
        self.bar = QtWidgets.QProgressBar()
        self.bar.setObjectName("models_bar")
        self.pause = self._button("models_pause", tr("Pause"))
        self.pause.clicked.connect(lambda: self.paused.emit(self._download is not None and not self._download.paused))
        self.cancel = self._button("models_cancel", tr("Cancel"))
        self.cancel.setToolTip(tr("What has come is kept; installing goes on from there."))
        self.cancel.clicked.connect(lambda: self.cancelled.emit())
        self.download_box = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(self.download_box)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words)
        column.addWidget(fields.row(self.bar, self.pause, self.cancel, stretch=self.bar))

    def _enable(self) -> None:
        """Offer what is possible with the chosen row; one installation goes on at a time."""
        files, is_free = self._files.get(self.chosen, ()), self._download is None
        is_begun = any(file.state is FileState.PARTIAL for file in files)
        self.install.setText(tr("Go on installing") if is_begun else tr("Install"))
        self.install.setEnabled(is_free and bool(files) and state_of(files) not in HERE)
        self.remove.setEnabled(is_free and bool(self._own(files)))
        checked = files if self.chosen else [file for those in self._files.values() for file in those]
        self.verify.setText(tr("Check") if self.chosen else tr("Check all"))
        self.verify.setEnabled(is_free and any(file.state in HERE for file in checked))
        for button in (self.scan, self.scan_folder):
            button.setEnabled(is_free and bool(self._files))
        item = self.list.currentItem()
        note = (item.data(0, NOTE) or "") if item is not None else ""
        self.note.say(note if self._files else tr("The list comes when the backend runs."))

    def _ask_for_folder(self) -> None:
        dialog = QtWidgets.QFileDialog(self, tr("A folder of models"))
        dialog.setObjectName("models_folder")
        dialog.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QtWidgets.QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(lambda chosen: self.scanned.emit(str(Path(chosen))))
        dialog.open()

    def _ask_to_remove(self) -> None:
        name, own = self.chosen, self._own(self._files[self.chosen])
        size = amount(sum(file.done for file in own))
        question = tr("Delete {count} files, {size}? Other bundles may need them too.", count=len(own), size=size)
        box = QtWidgets.QMessageBox(
            QtWidgets.QMessageBox.Icon.Question, tr("Models"), question, Buttons.Yes | Buttons.No, self
        )
        box.setObjectName("models_question")
        box.setDefaultButton(Buttons.No)
        box.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
        box.button(Buttons.Yes).clicked.connect(lambda: self.removed.emit(name))
        box.open()

    @staticmethod
    def _own(files: Sequence[FileInfo]) -> list[FileInfo]:
        """Those that can be removed; what another program has stays."""
        return [file for file in files if file.state in (FileState.INSTALLED, FileState.PARTIAL)]

    @staticmethod
    def _row(parent, name: str, words: str, tip: str = ""):
        item = QtWidgets.QTreeWidgetItem(parent, [words])
        item.setData(0, NAME, name)
        item.setToolTip(0, tip or words)
        return item

    @staticmethod
    def _button(name: str, words: str):
        button = QtWidgets.QPushButton(words)
        button.setObjectName(name)
        button.setAutoDefault(False)  # Enter in the list must not press one
        return button
