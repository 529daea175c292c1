"""How far a job is: one fraction over loading, prompts and every stage, and the places where it can be stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

from protocol.job import Phase, Progress, Thumbnail

Report = Callable[[Progress], None]
Show = Callable[[Thumbnail], None]

START = {Phase.LOADING: (0.0, 0.08), Phase.PROMPT: (0.08, 0.1)}
"""Share in the whole job of what is done before the first stage; it need not be exact, only never run backwards."""
STAGE = {Phase.ENCODING: (0.0, 0.05), Phase.DENOISING: (0.05, 0.8), Phase.DECODING: (0.8, 1.0)}
"""Share in its run of what each run of a stage does."""


class Cancelled(Exception):
    """The job was cancelled between two model calls."""


class Way:
    """Where a job stands: reports it, and stops the job when that is wanted.

    Args:
        report: told where the job is; the fraction never decreases.
        cancelled: asked before every model call.
        work: of each run of a stage, in any unit; stages that take two passes have two runs.
        show: told each preview; without it there are none.
    """

    def __init__(
        self, report: Report, cancelled: Callable[[], bool], work: Sequence[float], show: Show | None = None
    ) -> None:
        self._report, self._cancelled = report, cancelled
        self.show = show
        self._done = [done / sum(work) for done in accumulate(work, initial=0.0)]
        self._run = 0
        self._fraction = 0.0

    def enter(self, run: int) -> None:
        """Begin a run, counted from 0."""
        self._run = run

    def check(self) -> None:
        """Raise `Cancelled` if the job is to stop."""
        if self._cancelled():
            raise Cancelled

    def at(self, phase: Phase, step: int, total: int) -> None:
        """Report `step` of `total` in a phase of the present run, or raise `Cancelled`."""
        self.check()
        if phase in START:
            start, end = START[phase]
        else:
            first = START[Phase.PROMPT][1]
            begin, over = (first + (1 - first) * done for done in self._done[self._run:self._run + 2])
            start, end = (begin + share * (over - begin) for share in STAGE[phase])
        # A job that begins anew with less memory goes over its way twice.
        self._fraction = max(self._fraction, start + (end - start) * step / total)
        self._report(Progress(phase, step, total, self._fraction))

    def done(self) -> None:
        """Report the end."""
        self._report(Progress(Phase.DECODING, 1, 1, 1.0))
