"""Incidents: one for each trouble, with its story, folded and decided from the journal."""

from resile.incidents.book import IncidentBook
from resile.incidents.decide import decide
from resile.incidents.escapes import ESCAPE_KINDS, UNNAMED_PROFILE, escapes_in, suspects
from resile.incidents.model import Incident, IncidentState, KnownFault, Problem
from resile.incidents.store_troubles import StoreWaiting
from resile.incidents.timeline import TIMELINE_KINDS, Line, timeline
from resile.incidents.troubles import (
    LASTING_KINDS,
    TROUBLE_KINDS,
    Waiting,
    lasting_in,
    troubles_in,
)
from resile.incidents.uptime import UPTIME_KINDS, Bar, UptimeBook
from resile.incidents.view import incident_view

__all__ = [
    "ESCAPE_KINDS",
    "LASTING_KINDS",
    "TIMELINE_KINDS",
    "TROUBLE_KINDS",
    "UNNAMED_PROFILE",
    "UPTIME_KINDS",
    "Bar",
    "Incident",
    "IncidentBook",
    "IncidentState",
    "KnownFault",
    "Line",
    "Problem",
    "StoreWaiting",
    "UptimeBook",
    "Waiting",
    "decide",
    "escapes_in",
    "incident_view",
    "lasting_in",
    "suspects",
    "timeline",
    "troubles_in",
]
