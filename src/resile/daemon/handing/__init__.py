"""A small program that gives a service its secrets when it starts, and becomes the service."""
