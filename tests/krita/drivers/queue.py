"""Driver: the queue: positions, another order, cancelling one or all."""

from pathlib import Path

from vocabulary import Docker, names, nodes


def run(h):
    document = h.new_document(128, 128)
    yield 0.5
    d = Docker(h)
    yield d.ready()
    yield from another_order(h, d, document)
    yield from one_and_all(h, d, document)


def another_order(h, d, document):
    """The third one is moved before the second, the fourth is asked for as the next one."""
    from layer_diffusion.jobs import Order

    for name in ("held one", "two", "three", "four"):
        yield from d.start(f"{name} in line")
    yield h.until(lambda: d.stages()[0] == "RUNNING", 20, "a job that runs")
    yield h.until(lambda: d.find("queue").text() == "Queue: 4", 5, "the number of jobs")
    yield h.click(d.find("queue"))
    yield h.until(d.find("queue_popup").isVisible, 5, "the list of jobs")
    yield 0.3
    yield h.screenshot("queue")
    places = [text.split("\n")[1] for text in texts(d)[2:]]
    h.check("each with its place", places == ["Waiting, 2 before it", "Waiting, 3 before it"], texts(d))
    h.check("running first", texts(d)[0].startswith("held one in line\nDenoising"), texts(d))
    yield h.click(row(d, "three", "queue_first"))
    yield h.until(lambda: order(d) == ["held one", "three", "two", "four"], 5, "another order")
    h.check("the list follows", [short(text.split("\n")[0]) for text in texts(d)] == order(d), texts(d))
    yield h.key("Escape")
    yield h.until(lambda: not d.find("queue_popup").isVisible(), 5, "the closed list")
    yield from d.pick("queue_order", Order.FIRST)
    yield from d.start("five in line")
    h.check("asked for as the next one", order(d)[:2] == ["held one", "five"], order(d))
    yield from d.pick("queue_order", Order.LAST)
    gate(h).touch()
    yield h.until(lambda: len(nodes(document)) == 6, 60, "all results")
    yield d.ready()
    made = [short(name) for name in names(document)[1:]]
    h.check("made in that order", made == ["held one", "five", "three", "two", "four"], made)
    gate(h).unlink()


def one_and_all(h, d, document):
    """What is cancelled leaves nothing; what replaces the queue is made alone."""
    from layer_diffusion.jobs import Order

    for name in ("held six", "seven", "eight"):
        yield from d.start(f"{name} in line")
    yield h.until(lambda: d.stages()[0] == "RUNNING", 20, "a job that runs")
    yield h.click(d.find("queue"))
    yield h.until(d.find("queue_popup").isVisible, 5, "the list of jobs")
    yield 0.3
    yield h.click(row(d, "eight", "queue_cancel"))
    yield h.until(lambda: order(d) == ["held six", "seven"], 10, "one less")
    yield h.click(d.find("queue_cancel_all"))
    yield d.ready()
    h.check("the list is closed with the last job", not d.find("queue_popup").isVisible())
    h.check("nothing came of them", len(nodes(document)) == 6, names(document))
    yield from d.start("held nine in line")
    yield from d.pick("queue_order", Order.INSTEAD)
    yield h.until(lambda: d.stages() == ["RUNNING"], 20, "a job that runs")
    yield from d.start("ten in line")
    yield from d.pick("queue_order", Order.LAST)
    yield h.until(lambda: len(nodes(document)) == 7, 30, "the one that replaced it")
    yield d.ready()
    h.check("and it alone", names(document)[-1] == "ten in line", names(document))


def texts(d):
    """What the rows of the list say, in their order on the screen."""
    from harness_driver.qt import QtWidgets

    labels = d.find("queue_popup").findChildren(QtWidgets.QLabel, "queue_words")
    return [label.text() for label in sorted(labels, key=lambda label: label.parentWidget().y())]


def row(d, prompt, name):
    """A button of the row of a prompt."""
    from harness_driver.qt import QtWidgets

    job = next(job for job in d.session.unfinished if short(job.request.prompt) == prompt)
    return d.find(f"queue_{job.id}").findChild(QtWidgets.QToolButton, name)


def order(d):
    return [short(job.request.prompt) for job in d.session.unfinished if job.stage.name != "CANCELLING"]


def short(prompt):
    """A prompt without the words that make the stand-in do one job after the other."""
    return prompt.replace(" in line", "")


def gate(h):
    """The file that lets held jobs go on."""
    return Path(h.args["root"]) / "gate"
