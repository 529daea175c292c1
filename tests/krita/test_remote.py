"""What a person says of another machine, and what the diagnostics tell of the settings."""

import dataclasses

import pytest


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("studio:8000", "studio", 8000), (" 10.0.0.2:1 ", "10.0.0.2", 1), ("[::1]:65535", "::1", 65535)],
)
def test_address(plugin, address, host, port):
    reached = plugin("remote").Remote(address, " secret \n", True, "own.pem").reach()
    assert (reached.host, reached.port, reached.token) == (host, port, "secret")
    assert reached.is_remote and reached.encrypted and reached.certificate == "own.pem"


@pytest.mark.parametrize("address", ["studio", ":80", "studio:", "studio:0", "studio:65536", "https://studio:80"])
def test_what_is_no_address_is_said(plugin, address):
    with pytest.raises(plugin("notices").Trouble) as caught:
        plugin("remote").Remote(address).reach()
    assert address in caught.value.notice.message and "name:port" in caught.value.notice.hint


def test_file_is_for_this_user_alone(plugin, tmp_path):
    remote, path = plugin("remote"), tmp_path / "folder" / "remote.json"
    said = remote.Remote("studio:8000", "secret", False, "")
    for _ in range(2):
        remote.save(path, said)
    assert remote.load(path) == said and path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"address": 1, "token": "", "encrypted": true, "certificate": ""}'])
def test_damaged_file_means_this_machine(plugin, tmp_path, text):
    path = tmp_path / "remote.json"
    path.write_text(text, encoding="utf-8")
    assert plugin("remote").load(path) == plugin("remote").Remote()


def test_diagnostics_hold_no_prompts(plugin):
    session = plugin("session").Session(lambda *_: None, lambda: None)
    session.report(plugin("notices").Notice("“private” is no address.", "private:7000 does not answer."))
    settings = plugin("settings").Settings()
    words = {name: "private" for name, value in vars(settings).items() if "prompt" in name and value == ""}
    settings = dataclasses.replace(settings, negative="private", steps=33, **words)
    faults = [("a.py, line 1, look", "ValueError: 'private'")]
    text = plugin("diagnostics").text("5.2", "5.15", settings, session, faults, None, ["a line"])
    assert "private" not in text and "steps: 33" in text and "a line" in text
    assert "a.py, line 1, look\nValueError: …" in text and len(words) == 4
    assert "… is no address. … does not answer." in text


def test_end_of_a_log(plugin, tmp_path):
    path = tmp_path / "backend.log"
    assert plugin("diagnostics").last_lines(path) == []
    path.write_text("".join(f"line {number}\n" for number in range(50_000)), encoding="utf-8")
    lines = plugin("diagnostics").last_lines(path)
    assert lines[-1] == "line 49999" and len(lines) == plugin("diagnostics").MOST_LINES
