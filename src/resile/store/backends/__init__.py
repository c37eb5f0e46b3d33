"""Where a store lives: a folder, memory, a bucket."""

from resile.store.backends.choose import open_backend
from resile.store.backends.port import Backend, StoredFile, Upload, put

__all__ = ["Backend", "StoredFile", "Upload", "open_backend", "put"]
