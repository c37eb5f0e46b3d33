"""Incidents: one for each trouble, with its story, folded and decided from the journal."""

from resile.incidents.book import IncidentBook
from resile.incidents.decide import decide
from resile.incidents.model import Incident, IncidentState, KnownFault
from resile.incidents.timeline import TIMELINE_KINDS, Line, timeline
from resile.incidents.uptime import UPTIME_KINDS, Bar, UptimeBook
from resile.incidents.view import incident_view

__all__ = [
    "TIMELINE_KINDS",
    "UPTIME_KINDS",
    "Bar",
    "Incident",
    "IncidentBook",
    "IncidentState",
    "KnownFault",
    "Line",
    "UptimeBook",
    "decide",
    "incident_view",
    "timeline",
]
