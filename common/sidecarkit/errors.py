"""One tree of errors; a class exists where a caller acts differently: report, wait, retry or skip."""


class SidecarError(Exception):
    """Anything the suite raises on purpose. Its text is one sentence for the operator and holds no secret."""


class SettingsError(SidecarError):
    """Settings, files or arguments are wrong and nothing was changed: exit status 2. Holds every complaint at once."""

    def __init__(self, complaints: tuple[str, ...]) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = complaints


class StateBusy(SidecarError):
    """Another process of the same agent works in this state folder."""


class EngineError(SidecarError):
    """The engine answered a request with an error. *status* is its HTTP status, 0 when there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class EngineUnavailable(EngineError):
    """No answer to be had: no socket, connection lost, or a proxy without its engine. Wait and ask again."""


class EngineTimeout(EngineUnavailable):
    """No answer in time. What was asked for may still happen."""


class ContainerGone(EngineError):
    """The container does not exist (404)."""


class Refused(EngineError):
    """The engine or the proxy before it forbids the request (401, 403). Asking again will not help."""
