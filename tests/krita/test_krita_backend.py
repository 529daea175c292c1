"""What a person does with the backend in a real Krita: the stand-in here, a real server elsewhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

pytestmark = pytest.mark.krita
PROJECT = Path(__file__).resolve().parents[2]


def test_backend_here_and_elsewhere(krita, standin, tmp_path):
    certificate, token = tmp_path / "backend.pem", tmp_path / "token"
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    token.write_text("0123456789abcdef" * 4, encoding="utf-8")
    command = ["serve", "--host", "localhost", "--tls-certificate", str(certificate), "--token-file", str(token)]
    with subprocess.Popen([sys.executable, "-m", "backend", *command], cwd=PROJECT, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            port = json.loads(other.stdout.readline())["port"]
            said = {"port": port, "token": token.read_text(), "certificate": str(tmp_path / "authority.pem")}
            (standin / "elsewhere").write_text(json.dumps(said), encoding="utf-8")
            krita("backend.py", standin, settings={"layer_diffusion": {"first_start": "", "save_memory": "yes"}})
        finally:
            other.terminate()
