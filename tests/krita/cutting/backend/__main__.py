"""The real backend behind a proxy that breaks the first connection over which more than `CUT_AFTER` bytes came down.

Copy the folder `cutting`; the file `project` in it names the project's folder, the file `cuts` appears with the cut.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path.cwd()
PROJECT = (HERE / "project").read_text(encoding="utf-8").strip()
CUT_AFTER = 1_500_000
CUTS = HERE / "cuts"


def pump(source, target, change=None, limit=None):
    """Copy bytes until one side ends or the limit is reached, then end both."""
    seen = 0
    try:
        while data := source.recv(65536):
            if change is not None:
                data, change = change(data), None
            seen += len(data)
            if limit and seen > limit and not CUTS.exists():
                CUTS.write_text(str(seen), encoding="utf-8")
                break
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def main():
    environment = {**os.environ, "PYTHONPATH": PROJECT}
    command = [sys.executable, "-m", "backend", *sys.argv[1:]]
    backend = subprocess.Popen(command, cwd=PROJECT, env=environment, stdin=sys.stdin, stdout=subprocess.PIPE)
    assert backend.stdout is not None
    ready = json.loads(backend.stdout.readline())
    behind, front = ready["port"], socket.create_server(("127.0.0.1", 0))
    port = front.getsockname()[1]
    print(json.dumps({**ready, "port": port}), flush=True)
    threading.Thread(target=accept, args=(front, port, behind), daemon=True).start()
    sys.exit(backend.wait())


def accept(front, port, behind):
    while True:
        client, _ = front.accept()
        server = socket.create_connection(("127.0.0.1", behind))

        def to_behind(data):
            return data.replace(b"Host: 127.0.0.1:%d" % port, b"Host: 127.0.0.1:%d" % behind)

        threading.Thread(target=pump, args=(client, server, to_behind), daemon=True).start()
        threading.Thread(target=pump, args=(server, client, None, CUT_AFTER), daemon=True).start()


if __name__ == "__main__":
    main()
