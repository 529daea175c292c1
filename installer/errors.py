"""The one error of the installer."""


class InstallerError(Exception):
    """Something a person can act on: one sentence what happened, one what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message} {hint}")
