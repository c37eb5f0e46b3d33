"""The ground floor: time, files, processes, identities, units, events, journal, configuration.

Core is a box of small tools, so its users import the module that they need
(`from resile.core.clock import Clock`); nothing here loads more than was asked for.
"""
