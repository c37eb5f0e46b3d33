"""Where secrets are kept: one module for each kind, loaded when it is opened."""

from resile.secrets.providers.opening import KINDS, open_provider

__all__ = ["KINDS", "open_provider"]
