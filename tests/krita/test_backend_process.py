"""Starting and ending the backend, with small programs in its place."""

import json
import os
import sys

import pytest

from .processes import assert_ended

PREPARE = "import json, os, sys\nopen('token', 'w').write('secret')\n"
READY = "print(json.dumps(dict(event='ready', host='127.0.0.1', port=7, token_file='token')), flush=True)\n"
SAY = "print(json.dumps([os.getpid(), sys.argv[1:], os.environ.get('PYTHONHOME')]), file=open('said', 'w'))\n"


@pytest.fixture
def start(plugin, tmp_path):
    """Make a `BackendProcess` whose backend is the given program, run in a folder of its own."""
    made = []

    def make(program: str, **more):
        (tmp_path / "backend").mkdir()
        (tmp_path / "backend" / "__main__.py").write_text(PREPARE + program, encoding="utf-8")
        config = tmp_path / "backend.json"
        config.write_text(json.dumps({"python": sys.executable, "root": str(tmp_path), **more}), encoding="utf-8")
        process = plugin("backend_process").BackendProcess(tmp_path / "log" / "backend.log", config)
        made.append(process)
        return process

    yield make
    for process in made:
        process.stop()


def said(folder):
    return json.loads((folder / "said").read_text())


def test_runs_as_told_and_ends_when_stopped(start, tmp_path, monkeypatch, plugin):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.chdir(tmp_path)
    backend = start(SAY + READY + "sys.stdin.read()")
    assert backend.address() == plugin("backend_process").Address("127.0.0.1", 7, "secret")
    pid, arguments, home = said(tmp_path)
    assert arguments == ["serve", "--parent", str(os.getpid()), "--idle", "15"] and home is None
    assert backend.address().port == 7 and said(tmp_path)[0] == pid
    backend.rest()
    assert_ended(pid)
    backend.idle_minutes, backend.save_memory = 3, True
    backend.address()
    pid, arguments, _ = said(tmp_path)
    assert arguments[3:] == ["--idle", "3", "--save-memory"]
    backend.stop()
    assert_ended(pid)


def test_has_the_network_settings_of_the_installer_unless_krita_has_its_own(start, tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://krita:1")
    monkeypatch.setenv("https_proxy", "")
    monkeypatch.chdir(tmp_path)
    written = {
        "http_proxy": "http://written:2", "https_proxy": "http://written:3", "no_proxy": "intern",
        "HF_ENDPOINT": "https://mirror", "PYTHONUTF8": "0",
    }
    start("print(json.dumps(dict(os.environ)), file=open('said', 'w'))\n" + READY, environment=written).address()
    has = said(tmp_path)
    assert has["HTTP_PROXY"] == "http://krita:1" and "http_proxy" not in has
    assert has["https_proxy"] == "" and "HTTPS_PROXY" not in has
    assert has["no_proxy"] == "intern" and has["HF_ENDPOINT"] == "https://mirror"
    assert has["PYTHONUTF8"] == "1", "what the backend needs is not to be changed"


def test_starts_anew_after_its_end(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backend = start(SAY + READY + "sys.stdin.readline()")
    backend.address()
    first = said(tmp_path)[0]
    os.kill(first, 9)
    assert_ended(first)
    backend.address()
    assert said(tmp_path)[0] != first


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("sys.exit('No module named torch.')", "The backend could not start: No module named torch."),
        ("print('hello', flush=True); sys.stdin.read()", "The backend could not start."),
        ("print('{}', flush=True); sys.stdin.read()", "The backend could not start."),
    ],
)
def test_backend_that_does_not_get_ready_is_explained(start, plugin, tmp_path, program, message):
    with pytest.raises(plugin("notices").Trouble) as caught:
        start(program).address()
    assert caught.value.notice.message == message
    assert str(tmp_path / "log" / "backend.log") in caught.value.notice.hint


def test_backend_that_says_why_it_failed_is_quoted(start, plugin):
    failed = {"event": "failed", "code": "disk_full", "message": "No room.", "hint": "Make some."}
    with pytest.raises(plugin("notices").Trouble) as caught:
        start(f"print(json.dumps({failed!r}), flush=True); sys.exit(1)").address()
    assert str(caught.value.notice) == "No room. Make some."


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "The backend is not installed for this Krita."),
        ("{}", "The backend is not installed for this Krita."),
        ('{"python": "p", "root": "/", "environment": []}', "The backend is not installed for this Krita."),
        ('{"python": "/nowhere/python", "root": "/"}', "The backend was moved or removed after it was installed."),
    ],
)
def test_missing_backend_is_explained(plugin, tmp_path, config, message):
    path = tmp_path / "backend.json"
    if config is not None:
        path.write_text(config, encoding="utf-8")
    with pytest.raises(plugin("notices").Trouble) as caught:
        plugin("backend_process").BackendProcess(tmp_path / "log", path).address()
    assert caught.value.notice.message == message and "installer" in caught.value.notice.hint
