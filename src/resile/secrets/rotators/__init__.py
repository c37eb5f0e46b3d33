"""How secrets are rotated: one module for each kind, loaded when it is opened."""
