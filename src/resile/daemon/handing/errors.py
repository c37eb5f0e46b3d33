"""Why a service does not get its secrets: now, or at all."""


class HandingError(Exception):
    """The service cannot be started; the text says why, and what to do."""


class AwayError(Exception):
    """The keeper or the provider is away; it may come back."""
