from tests.server.conftest import backend, own_backend

__all__ = ["backend", "own_backend"]
