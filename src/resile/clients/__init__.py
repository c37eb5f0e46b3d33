"""Wire clients: the only place that imports a vendor's SDK, and only inside functions."""
