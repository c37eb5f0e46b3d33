"""What holds for every test."""

from hypothesis import settings

# Behaviour is asserted, never speed: a slow machine must not turn a test red.
settings.register_profile("resile", deadline=None)
settings.load_profile("resile")
