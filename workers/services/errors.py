"""The one error of this package."""


class ServiceError(RuntimeError):
    """An embedded service cannot run; the message says why and what to do."""
