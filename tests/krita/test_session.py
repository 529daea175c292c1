"""The state of a docker, with a list in place of the connection."""

from types import SimpleNamespace

import pytest

JOB_FIELDS = dict(model="builtin", negative="", width=64, height=64, steps=4, cfg=5.0, seed=1, batch=1)


@pytest.fixture
def at(plugin):
    """A session that is connected, what it sent, and the modules it speaks in."""
    messages, session, jobs = plugin("protocol.messages"), plugin("session"), plugin("jobs")
    job, errors = plugin("protocol.job"), plugin("protocol.errors")
    sent, pixels = [], []

    def send(message, inputs=()):
        sent.append(message)
        pixels.append(inputs)

    now = [0.0]
    made = session.Session(send, lambda: None, lambda: now[0])

    def request(prompt="a red apple"):
        return job.Request(operation=job.Operation.OBJECT, prompt=prompt, **JOB_FIELDS)

    def welcome(*statuses):
        made.received(messages.Welcome(1, "server", (), (), tuple(statuses)))

    def running(job_id, fraction):
        return messages.Running(job_id, job.Progress(job.Phase.DENOISING, 1, 4, fraction))

    def generate(prompt="a red apple", inputs=(), order=jobs.Order.LAST):
        return made.generate(request(prompt), "document", plugin("geometry").Area(0, 0, 64, 64), inputs, order=order)

    return SimpleNamespace(
        session=made, sent=sent, pixels=pixels, messages=messages, stage=jobs.Stage, link=session.LinkState,
        errors=errors, orders=jobs.Order, job=job, role=job.Role, now=now,
        welcome=welcome, running=running, generate=generate, notices=plugin("notices"), area=plugin("geometry").Area,
        picture=plugin("pixels").Picture("x", plugin("geometry").Area(2, 3, 2, 1), bytes(8), 1.0, True),
    )  # fmt: skip


def test_job_is_sent_when_the_connection_is_there(at):
    job = at.generate()
    assert at.sent == []
    at.welcome()
    assert at.sent == [at.messages.Generate(job.id, job.request)]


def test_pictures_go_along_each_time_and_are_dropped_with_the_answer(at):
    job = at.generate(inputs=(b"rgba",))
    at.welcome()
    at.welcome()
    assert at.pixels == [(b"rgba",)] * 2
    at.session.arrived(job.id, ("picture",))
    assert job.inputs == ()


def test_result_is_acknowledged_only_after_the_insertion(at):
    at.welcome()
    job = at.generate()
    at.session.arrived(job.id, ("picture",))
    assert job.stage is at.stage.ARRIVED and len(at.sent) == 1
    at.session.inserted(job)
    assert at.sent[1:] == [at.messages.Acknowledge(job.id)] and not at.session.jobs


def test_result_that_comes_again_after_its_insertion_is_only_acknowledged(at):
    at.welcome()
    job = at.generate()
    at.session.arrived(job.id, ("picture",))
    at.session.arrived(job.id, ("picture",))
    at.session.inserted(job)
    at.session.arrived(job.id, ("picture",))
    assert not at.session.jobs
    assert at.sent[1:] == [at.messages.Acknowledge(job.id)] * 2


def test_progress_never_moves_backwards(at):
    at.welcome()
    job = at.generate()
    for fraction, shown in ((0.2, 0.2), (0.6, 0.6), (0.3, 0.6), (0.7, 0.7)):
        at.session.received(at.running(job.id, fraction))
        assert job.fraction == shown


def test_job_that_the_server_still_has_is_not_sent_again(at):
    at.welcome()
    job = at.generate()
    at.session.connection(at.link.LOST)
    at.welcome(at.messages.JobStatus(job.id, at.messages.State.QUEUED, 3))
    assert len(at.sent) == 1 and job.text() == "Waiting, 3 before it"


def test_job_that_a_new_backend_does_not_know_is_sent_again_but_not_for_ever(at):
    at.welcome()
    job = at.generate()
    for _ in range(2):
        at.session.connection(at.link.LOST)
        at.welcome()
    assert at.sent == [at.messages.Generate(job.id, job.request)] * 3
    at.session.connection(at.link.LOST)
    at.welcome()
    assert len(at.sent) == 3 and not at.session.jobs
    assert "several times" in at.session.notice.message


def test_failure_is_said_and_acknowledged(at):
    at.welcome()
    job = at.generate()
    error = at.errors.LayerDiffusionError(at.errors.ErrorCode.OUT_OF_MEMORY)
    at.session.received(at.messages.Failed(job.id, error))
    assert str(at.session.notice) == str(error)
    assert at.sent[-1] == at.messages.Acknowledge(job.id) and not at.session.jobs


def test_refused_job_is_gone_and_said(at):
    at.welcome()
    job = at.generate()
    error = at.errors.LayerDiffusionError(at.errors.ErrorCode.UNKNOWN_MODEL)
    at.session.received(at.messages.Refused(error, job.id))
    assert not at.session.jobs and at.session.notice == at.notices.Notice.of(error)


def test_acknowledging_twice_is_no_news(at):
    at.welcome()
    error = at.errors.LayerDiffusionError(at.errors.ErrorCode.UNKNOWN_JOB)
    at.session.received(at.messages.Refused(error, "0" * 32))
    assert at.session.notice is None


def test_cancelled_job_drops_a_result_that_was_on_its_way(at):
    at.welcome()
    job = at.generate()
    at.session.cancel(job)
    assert at.sent[-1] == at.messages.Cancel(job.id)
    at.session.arrived(job.id, ("picture",))
    assert not at.session.jobs and at.sent[-1] == at.messages.Acknowledge(job.id)


def test_cancel_is_sent_again_over_the_next_connection(at):
    at.welcome()
    job = at.generate()
    at.session.cancel(job)
    at.session.connection(at.link.LOST)
    at.welcome(at.messages.JobStatus(job.id, at.messages.State.RUNNING, 0))
    assert at.sent[1:] == [at.messages.Cancel(job.id)] * 2


def test_cancelling_a_job_that_was_never_sent_needs_no_backend(at):
    at.session.cancel(at.generate())
    assert not at.session.jobs and at.sent == []


def test_backend_that_cannot_start_ends_the_jobs_with_its_reason(at):
    at.generate()
    notice = at.notices.Notice("It cannot start.", "Install it.")
    at.session.connection(at.link.FAILED, notice)
    assert not at.session.jobs and at.session.notice == notice


def test_kept_result_waits_for_a_document(at):
    at.welcome()
    job = at.generate()
    at.session.arrived(job.id, ("picture",))
    at.session.keep(job, at.notices.Notice("Closed.", "Open one."))
    at.session.connection(at.link.LOST)
    at.welcome(at.messages.JobStatus(job.id, at.messages.State.DONE, 0))
    at.session.arrived(job.id, ("again",))
    assert job.stage is at.stage.KEPT and job.pictures == ("picture",)
    job.pictures = (at.picture,)
    at.session.release(job, "other", at.area(5, 6, 64, 64))
    assert (job.pictures[0].area, job.area) == (at.area(7, 9, 2, 1), at.area(5, 6, 64, 64))
    at.session.inserted(job)
    assert at.sent[-1] == at.messages.Acknowledge(job.id)


def test_kept_result_that_nobody_wants_is_acknowledged(at):
    at.welcome()
    job = at.generate()
    at.session.arrived(job.id, ("picture",))
    at.session.keep(job, at.notices.Notice("Closed.", "Open one."))
    at.session.discard(job)
    assert at.sent[-1] == at.messages.Acknowledge(job.id) and not at.session.jobs


def test_cancelling_all_is_one_message(at):
    unsent = at.generate()
    at.session.cancel_all()
    assert unsent.id not in at.session.jobs and at.sent == []
    at.welcome()
    kept = at.generate()
    at.session.arrived(kept.id, ("picture",))
    jobs = [at.generate(), at.generate()]
    at.session.cancel_all()
    assert at.sent[3:] == [at.messages.CancelAll()]
    assert [job.stage for job in (*jobs, kept)] == [at.stage.CANCELLING, at.stage.CANCELLING, at.stage.ARRIVED]


def test_replaced_connection_costs_no_job(at):
    at.welcome()
    job = at.generate()
    at.session.connection(at.link.REPLACED, at.notices.Notice("Taken over.", "Press Generate."))
    at.welcome(at.messages.JobStatus(job.id, at.messages.State.RUNNING, 0))
    assert job.stage is at.stage.RUNNING and len(at.sent) == 1


def test_group_is_named_after_the_prompt_on_one_short_line(at):
    assert at.generate("a red\n apple ").name == "a red apple"
    assert at.generate("x" * 200).name == "x" * 59 + "…"


def asked_for(at):
    """The prompts of the jobs that were sent, in order."""
    return [message.request.prompt for message in at.sent if isinstance(message, at.messages.Generate)]


def test_backend_has_the_present_and_the_next_job_and_the_others_wait_here(at):
    at.welcome()
    jobs = [at.generate(name) for name in "abcd"]
    assert asked_for(at) == ["a", "b"]
    assert [job.text() for job in jobs[2:]] == ["Waiting, 2 before it", "Waiting, 3 before it"]
    at.session.arrived(jobs[0].id, ("picture",))
    assert asked_for(at) == ["a", "b", "c"] and jobs[3].text() == "Waiting, 2 before it"
    at.session.cancel(jobs[1])
    assert asked_for(at) == ["a", "b", "c", "d"]


def test_first_job_takes_the_place_of_the_next_one_at_the_backend(at):
    at.welcome()
    running, following = at.generate("a"), at.generate("b")
    at.session.received(at.messages.Started(running.id))
    first = at.generate("c", order=at.orders.FIRST)
    assert at.sent[-1] == at.messages.Cancel(following.id) and asked_for(at) == ["a", "b"]
    at.session.received(at.messages.Cancelled(following.id))
    assert asked_for(at) == ["a", "b", "c"] and at.messages.Acknowledge(following.id) in at.sent
    assert [job.request.prompt for job in at.session.unfinished] == ["a", "c", "b"]
    at.session.arrived(running.id, ("picture",))
    assert asked_for(at) == ["a", "b", "c", "b"] and first.held and following.sent == 1


def test_job_moved_first_by_hand(at):
    at.welcome()
    jobs = [at.generate(name) for name in "abcd"]
    at.session.received(at.messages.Started(jobs[0].id))
    at.session.move_first(jobs[3])
    at.session.received(at.messages.Cancelled(jobs[1].id))
    assert [job.request.prompt for job in at.session.unfinished] == ["a", "d", "b", "c"]
    assert asked_for(at) == ["a", "b", "d"]


def test_job_that_was_to_wait_again_is_cancelled_for_good(at):
    at.welcome()
    running, following = at.generate("a"), at.generate("b")
    at.session.received(at.messages.Started(running.id))
    at.generate("c", order=at.orders.FIRST)
    at.session.cancel(following)
    at.session.received(at.messages.Cancelled(following.id))
    assert [job.request.prompt for job in at.session.unfinished] == ["a", "c"]


def test_job_that_replaces_all_others(at):
    at.welcome()
    jobs = [at.generate(name) for name in "abc"]
    new = at.generate("d", order=at.orders.INSTEAD)
    assert asked_for(at) == ["a", "b", "d"] and at.messages.CancelAll() in at.sent
    for job in jobs[:2]:
        at.session.received(at.messages.Cancelled(job.id))
    assert list(at.session.jobs) == [new.id]


def test_time_left_follows_from_the_pace_of_denoising(at):
    at.welcome()
    job = at.generate()
    progress = at.job.Progress
    for now, report, text in (
        (100, progress(at.job.Phase.LOADING, 0, 0, 0.0), "Loading the model"),
        (150, progress(at.job.Phase.DENOISING, 1, 10, 0.1), "Denoising 1/10"),
        (160, progress(at.job.Phase.DENOISING, 2, 10, 0.2), "Denoising 2/10 · 80 s left"),
        (170, progress(at.job.Phase.DENOISING, 6, 10, 0.6), "Denoising 6/10 · 16 s left"),
    ):
        at.now[0] = now
        at.session.received(at.messages.Running(job.id, report))
        assert job.text() == text.replace("80 s", "1 min")


def test_preview_belongs_to_the_try_that_made_it(at):
    at.welcome()
    job = at.generate()
    at.session.received(at.messages.Started(job.id))
    thumbnail = at.job.Thumbnail.of(at.role.FOREGROUND, 0, 1, 1, bytes(4))
    at.session.received(at.messages.Preview(job.id, thumbnail))
    assert job.thumbnail == thumbnail
    at.session.connection(at.link.LOST)
    at.welcome()
    assert job.thumbnail is None and job.stage is at.stage.WAITING


@pytest.mark.parametrize(
    ("code", "fix"),
    [("unknown_model", "MODELS"), ("unauthorized", "BACKEND"), ("worker_died", "DIAGNOSTICS"), ("out_of_memory", None)],
)
def test_a_notice_leads_to_where_it_can_be_mended(at, code, fix):
    notice = at.notices.Notice.of(at.errors.LayerDiffusionError(at.errors.ErrorCode(code)))
    assert (notice.fix.name if notice.fix else None) == fix
