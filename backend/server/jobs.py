"""The jobs the server holds and the order in which they run; pure bookkeeping, nothing is sent or waited for."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.job import LayerSet, Progress
from protocol.limits import MAX_HELD, MAX_HELD_ALL, MAX_JOBS_ALL, MAX_QUEUE
from protocol.messages import JobStatus, State
from protocol.request import Request

FINAL = (State.DONE, State.FAILED, State.CANCELLED)


@dataclass(eq=False)
class Job:
    """One job of one client; `layer_set` is there when done, `error` when failed, `progress` once it has reported.

    `pictures` are those of the request's inputs, dropped with the final state; `digest` tells them from others, and is
    None as long as they have not all come.
    """

    id: str
    client: str
    request: Request
    pictures: tuple[bytes, ...] = ()
    digest: bytes | None = None
    state: State = State.QUEUED
    position: int = 0
    progress: Progress | None = None
    layer_set: LayerSet | None = None
    error: LayerDiffusionError | None = None

    @property
    def final(self) -> bool:
        return self.state in FINAL

    @property
    def awaited(self) -> bool:
        """Whether it waits for its pictures, before it is in the queue."""
        return self.digest is None and not self.final

    @property
    def promised(self) -> int:
        """Bytes of pixels that its request and its result have or may have."""
        if self.state in (State.FAILED, State.CANCELLED):
            return 0
        return self.request.result_bytes + (0 if self.final else self.request.input_bytes)

    @property
    def status(self) -> JobStatus:
        return JobStatus(self.id, self.state, self.position)


class Jobs:
    """All jobs by client and id, and the queue."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], Job] = {}
        self._queue: deque[Job] = deque()
        self._turns: dict[str, int] = {}
        self._count = itertools.count()

    def of(self, client: str) -> list[Job]:
        """Return the jobs held for a client, oldest first."""
        return [job for job in self._jobs.values() if job.client == client]

    def unfinished(self) -> list[Job]:
        """Return the jobs of all clients that have no final state."""
        return [job for job in self._jobs.values() if not job.final]

    def find(self, client: str, job_id: str) -> Job:
        """Return a client's job. Raises `unknown_job`."""
        job = self._jobs.get((client, job_id))
        if job is None:
            fail(ErrorCode.UNKNOWN_JOB)
        return job

    def existing(self, client: str, job_id: str, request: Request) -> Job | None:
        """Return the job that this id and request name already, if any. Raises `duplicate_job` for another request.

        One that waits for its pictures is none yet: it is sent anew.
        """
        job = self._jobs.get((client, job_id))
        if job is None or job.awaited:
            return None
        if job.request != request:
            fail(ErrorCode.DUPLICATE_JOB)
        return job

    def admit(self, client: str, job_id: str, request: Request, present: Collection[str]) -> Job:
        """Return a new job that waits for its pictures, with memory for it set aside. Raises `queue_full`.

        Only where the limits for all clients together leave no other way, final states of clients that are not
        `present` are forgotten, the oldest jobs' first.
        """
        job = Job(job_id, client, request)
        if (halved := self._jobs.get((client, job_id))) is not None:
            self.drop(halved)
        held = self.of(client)
        if len(held) >= MAX_QUEUE:
            fail(
                ErrorCode.QUEUE_FULL,
                f"The backend holds {len(held)} jobs for this client already, waiting, running or not yet collected.",
            )
        if sum(other.promised for other in held) + job.promised > MAX_HELD:
            fail(
                ErrorCode.QUEUE_FULL,
                f"The images of this client's jobs would need more than {MAX_HELD // 1024**3} GiB.",
            )
        self._make_room(job.promised, present)
        self._jobs[client, job_id] = job
        return job

    def submit(self, job: Job, pictures: tuple[bytes, ...], digest: bytes) -> None:
        """Append an admitted job, whose pictures have come, to the queue."""
        job.pictures, job.digest = pictures, digest
        self._queue.append(job)
        self.renumber()

    def drop(self, job: Job) -> None:
        """Forget a job whose pictures will not come."""
        job.state = State.CANCELLED
        if self._jobs.get((job.client, job.id)) is job:
            del self._jobs[job.client, job.id]

    def _make_room(self, promised: int, present: Collection[str]) -> None:
        too_many = len(self._jobs) + 1 - MAX_JOBS_ALL
        too_much = sum(job.promised for job in self._jobs.values()) + promised - MAX_HELD_ALL
        forgotten = []
        for key, job in self._jobs.items():
            if too_many <= 0 and too_much <= 0:
                break
            if job.final and job.client not in present:
                forgotten.append(key)
                too_many -= 1
                too_much -= job.promised
        if too_many > 0 or too_much > 0:
            fail(ErrorCode.QUEUE_FULL, "The backend holds as many jobs and images of all its clients as it can.")
        for key in forgotten:
            del self._jobs[key]

    def take(self) -> Job | None:
        """Make the first waiting job a running one and return it; None when nothing waits."""
        if not self._queue:
            return None
        job = self._order()[0]
        self._queue.remove(job)
        self._turns[job.client] = next(self._count)
        job.state = State.RUNNING
        job.position = 0
        return job

    def _order(self) -> list[Job]:
        """The waiting jobs as they will run: clients take turns, each with its jobs in the order of arrival."""
        lines: dict[str, deque[Job]] = {}
        for job in self._queue:
            lines.setdefault(job.client, deque()).append(job)
        # Of clients that never had a turn, the one that has waited longest begins: `sorted` keeps their order.
        clients = sorted(lines, key=lambda client: self._turns.get(client, -1))
        rounds = itertools.zip_longest(*(lines[client] for client in clients))
        return [job for one in rounds for job in one if job is not None]

    def renumber(self) -> list[Job]:
        """Bring the positions of the waiting jobs up to date and return those whose position changed."""
        ahead = sum(job.state is State.RUNNING for job in self._jobs.values())
        changed = []
        for position, job in enumerate(self._order(), ahead):
            if job.position != position:
                job.position = position
                changed.append(job)
        return changed

    def finish(self, job: Job, outcome: LayerSet | LayerDiffusionError | None) -> None:
        """Give an unfinished job its final state: done, failed, or (None) cancelled."""
        if job in self._queue:
            self._queue.remove(job)
        job.position = 0
        job.pictures = ()
        if isinstance(outcome, LayerSet):
            job.state, job.layer_set = State.DONE, outcome
        elif isinstance(outcome, LayerDiffusionError):
            job.state, job.error = State.FAILED, outcome
        else:
            job.state = State.CANCELLED

    def forget(self, client: str, job_id: str) -> None:
        """Drop a finished job. Raises `unknown_job`, or `invalid_request` when it is not finished."""
        if not self.find(client, job_id).final:
            fail(ErrorCode.INVALID_REQUEST, "The job is not finished, so there is nothing to acknowledge yet.")
        del self._jobs[client, job_id]
