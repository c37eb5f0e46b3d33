"""`resile stop`: stop services and keep them stopped."""

from resile.cli.operate import operating_command
from resile.core.vocabulary import Verb

command = operating_command(
    Verb.STOP, text="Stop SERVICES and keep them stopped; wait until nothing of them is left."
)
