"""The connection to the backend: one thread that starts it, connects, reads and reconnects.

Everything that blocks happens here; what comes in is handed to the GUI thread by signals.
"""

from __future__ import annotations

import queue
import ssl
import threading
from collections.abc import Callable

from ._vendor.websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from ._vendor.websockets.sync.client import ClientConnection, connect
from .backend_process import Address
from .notices import Fix, Notice, Trouble
from .protocol import VERSION
from .protocol.errors import ErrorCode, LayerDiffusionError
from .protocol.images import MAX_FRAME, Assembler, Image, frames
from .protocol.job import LayerSet
from .protocol.messages import Done, Generate, Hello, Message, Refused, Welcome, build, parse
from .qt import QtCore
from .session import LinkState
from .translation import mark, tr

Parcel = tuple[Message, tuple[bytes, ...]]
"""A message and the pictures that follow it."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
REPLACED = 4001
"""Close code of the protocol: a newer connection with our id is there, and would be closed if we came back."""

TAKEN_OVER = Notice(
    mark("Another connection of this docker took its place."),
    mark("Press Generate to connect again; no result is lost."),
)


WRONG_TOKEN = Notice(
    mark("The other machine does not accept the token."),
    mark("Copy it from the token file of its backend into the settings of the backend."),
    Fix.BACKEND,
)


class _Stop(Exception):
    """The connection must not be made again before the person asks for it."""

    def __init__(self, state: LinkState, notice: Notice) -> None:
        super().__init__(state, notice)
        self.state, self.notice = state, notice


class Link(QtCore.QObject):
    """The network thread and its signals.

    `locate` returns where the backend listens and may start it; `prepare` turns a finished result into what `arrived`
    carries. Both are called on the network thread.
    """

    changed = QtCore.pyqtSignal(object, object)
    """`LinkState` and a `Notice` or None."""
    received = QtCore.pyqtSignal(object)
    """A message of the server, but for `Done`."""
    arrived = QtCore.pyqtSignal(str, object)
    """Job id and what `prepare` made of its layers."""

    def __init__(
        self, locate: Callable[[], Address], prepare: Callable[[str, LayerSet], object], client: str, client_id: str
    ) -> None:
        super().__init__()
        self._locate = locate
        self._prepare = prepare
        self._hello = Hello((VERSION,), client, client_id)
        self._outbox: queue.Queue[Parcel | None] = queue.Queue()
        self._connection: ClientConnection | None = None
        self._wake = threading.Event()
        self._stopping = self._resting = False
        self._warned = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Connect, and stay connected; no more than a nudge when it does so already."""
        self._resting = False
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="layer-diffusion-link", daemon=True)
            self._thread.start()
        self._wake.set()

    def send(self, message: Message, inputs: tuple[bytes, ...] = ()) -> None:
        """Send when connected; without a connection the message is dropped, and `Welcome` says what to send again.

        `inputs` are the pixels of the pictures that a `Generate` names, straight RGBA.
        """
        if self._connection is not None:
            self._outbox.put((message, inputs))

    def rest(self) -> None:
        """End the connection until `start` is called."""
        self._resting = True
        self._cut()

    def reconnect(self) -> None:
        """Connect anew, to what `locate` says now."""
        self._warned = False
        self.start()
        self._cut()

    def stop(self) -> None:
        """End the thread; nothing is emitted afterwards."""
        self._stopping = True
        self._wake.set()
        for signal in (self.changed, self.received, self.arrived):
            signal.disconnect()  # also drops what is on its way to widgets that may be gone
        self._cut()

    def _cut(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.close_socket()

    # On the network thread from here on

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stopping:
            self._wake.clear()
            try:
                if self._talk():
                    pause = FIRST_PAUSE_S
                self._say(LinkState.IDLE if self._resting else LinkState.LOST)
            except (Trouble, _Stop) as error:
                self._wake.clear()  # what was asked for until now is answered by this
                self._say(error.state if isinstance(error, _Stop) else LinkState.FAILED, error.notice)
                if not self._stopping:
                    self._wake.wait()
                continue
            if self._resting:
                self._wake.clear()  # of what was asked for before the rest
                if self._resting and not self._stopping:
                    self._wake.wait()
                continue
            self._wake.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _talk(self) -> bool:
        """One connection from its start to its end; return whether the server welcomed us."""
        self._say(LinkState.STARTING)
        address = self._locate()
        self._say(LinkState.CONNECTING)
        welcomed = False
        try:
            with self._connect(address) as connection:
                connection.send(build(self._hello))
                for message in self._incoming(connection):
                    if isinstance(message, Welcome):
                        welcomed, self._warned = True, False
                        self._begin_sending(connection)
                    elif isinstance(message, Refused) and not welcomed:
                        raise _Stop(LinkState.FAILED, Notice.of(message.error))
                    self._emit(self.received, message)
        except (OSError, WebSocketException, TimeoutError):
            # It is tried again; what trying again does not mend is dealt with in _connect.
            if address.is_remote and not welcomed and not self._warned and not self._resting:
                self._warned = True
                self._say(LinkState.LOST, _silent(address))
        except LayerDiffusionError as error:
            self._say(LinkState.LOST, Notice.of(error))
            welcomed = False  # the next try may meet the same message: not at once
        finally:
            self._connection = None
            self._outbox.put(None)
        return welcomed

    def _connect(self, address: Address) -> ClientConnection:
        host = f"[{address.host}]" if ":" in address.host else address.host
        try:
            return connect(
                f"{'wss' if address.encrypted else 'ws'}://{host}:{address.port}/",
                ssl=_trust(address),
                additional_headers={"Authorization": f"Bearer {address.token}"},
                compression=None,
                proxy=None,  # a company's proxy has no business between a person's own machines
                max_size=MAX_FRAME,
                open_timeout=10,
                close_timeout=1,
            )
        except ssl.SSLCertVerificationError as error:
            raise _Stop(LinkState.FAILED, _untrusted(error.verify_message)) from error
        except InvalidStatus as error:
            if address.is_remote and error.response.status_code == 401:
                raise _Stop(LinkState.FAILED, WRONG_TOKEN) from error
            raise _Stop(
                LinkState.FAILED,
                Notice(
                    tr("The backend refused the connection (status {status}).", status=error.response.status_code),
                    mark("Start Krita again; if that does not help, run the installer again."),
                ),
            ) from error

    def _incoming(self, connection: ClientConnection):
        """Yield the server's messages; a `Done` is emitted as `arrived` once its images are complete."""
        assembler = Assembler()
        done: Done | None = None
        images: list[Image] = []
        while True:
            try:
                data = connection.recv()
            except ConnectionClosed as closed:
                if closed.rcvd is not None and closed.rcvd.code == REPLACED:
                    raise _Stop(LinkState.REPLACED, TAKEN_OVER) from closed
                return
            if isinstance(data, str):
                message = parse(data)
                if not isinstance(message, Done):
                    yield message
                    continue
                if done is not None or message.images != len(message.layer_set.layers):
                    raise LayerDiffusionError(ErrorCode.BAD_MESSAGE)
                done, images = message, []
                continue
            image = assembler.add(data)
            if image is None:
                continue
            if done is None or (image.job, image.index) != (done.job, len(images)):
                raise LayerDiffusionError(ErrorCode.BAD_MESSAGE)
            images.append(image)
            if len(images) == done.images:
                layer_set = done.layer_set.with_pixels([image.pixels for image in images])
                self._emit(self.arrived, done.job, self._prepare(done.job, layer_set))
                done = None

    def _begin_sending(self, connection: ClientConnection) -> None:
        self._outbox = queue.Queue()
        self._connection = connection
        arguments = (connection, self._outbox)
        threading.Thread(target=_send_all, args=arguments, name="layer-diffusion-send", daemon=True).start()

    def _say(self, state: LinkState, notice: Notice | None = None) -> None:
        self._emit(self.changed, state, notice)

    def _emit(self, signal, *values) -> None:
        if not self._stopping:
            signal.emit(*values)


def _trust(address: Address) -> ssl.SSLContext | None:
    if not address.encrypted:
        return None
    try:
        return ssl.create_default_context(cafile=address.certificate or None)
    except (OSError, ValueError) as error:
        raise _Stop(LinkState.FAILED, _untrusted(str(error))) from error


def _untrusted(reason: str) -> Notice:
    return Notice(
        tr("The certificate cannot be trusted: {reason}.", reason=reason.rstrip(".")),
        tr("Choose the certificate file that the other machine's backend was started with."),
        Fix.BACKEND,
    )


def _silent(address: Address) -> Notice:
    return Notice(
        tr("{address} does not answer.", address=f"{address.host}:{address.port}"),
        tr("Check the address, whether it is encrypted, and that the backend runs there; it is tried again and again."),
        Fix.BACKEND,
    )


def _send_all(connection: ClientConnection, outbox: queue.Queue[Parcel | None]) -> None:
    """Send what is put into the outbox until None comes or the connection ends."""
    while True:
        parcel = outbox.get()
        if parcel is None:
            return
        message, inputs = parcel
        try:
            connection.send(build(message))
            if isinstance(message, Generate):
                for index, (picture, pixels) in enumerate(zip(message.request.inputs, inputs, strict=True)):
                    for frame in frames(message.job, index, picture.width, picture.height, pixels):
                        connection.send(frame)
        except (OSError, ConnectionClosed):
            return
