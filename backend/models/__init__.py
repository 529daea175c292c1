"""Models on this machine: what is installed, recognised by content, without importing torch."""

from .installed import ModelFiles, folder, installed, resolve, resolve_path, unusable

__all__ = ["ModelFiles", "folder", "installed", "resolve", "resolve_path", "unusable"]
