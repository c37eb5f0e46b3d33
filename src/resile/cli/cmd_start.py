"""`resile start`: start services, also out of quarantine."""

from resile.cli.operate import operating_command
from resile.core.vocabulary import Verb

command = operating_command(
    Verb.START, text="Start SERVICES, also out of quarantine, and wait until they are ready."
)
