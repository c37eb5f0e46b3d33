"""Types of settings that carry a unit: each knows its spelling, its range and its JSON Schema.

Used in annotations: `interval: Annotated[float, DurationIn("100ms", "1d")]`. Parsing is that of
`core/units.py`; what is out of range is refused with the range as people write it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from resile.core.config.faults import fault, quoted
from resile.core.units import (
    format_duration,
    format_size,
    parse_duration,
    parse_duration_range,
    parse_share,
    parse_size,
)


@dataclass(frozen=True, slots=True)
class _UnitIn(ABC):
    """A setting with a unit, from `low` to `high`, both included and written with their unit.

    The value, written back as a bare number, is read as itself again.
    """

    low: str
    high: str

    what: ClassVar[str]
    example: ClassVar[str]

    @abstractmethod
    def read(self, text: Any) -> Any:
        """Turn what was written into a number; ValueError if it is none."""

    @abstractmethod
    def show(self, number: Any) -> str:
        """Write a number as people do."""

    def parse(self, value: Any) -> Any:
        """Turn what was written into the value of the setting.

        Raises:
            PydanticCustomError: If it cannot be read, or is out of range.
        """
        number = self._read_or_refuse(value)
        if not self.read(self.low) <= number <= self.read(self.high):
            raise fault(f"must be {self.low} to {self.high}, not {self.show(number)}")
        return number

    def _read_or_refuse(self, value: Any) -> Any:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            try:
                return self.read(value)
            except ValueError:
                pass
        raise fault(f"{quoted(value)} is not a {self.what}", hint=f"write {self.example}")

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "type": ["string", "number"],
            "x-unit": self.what,
            "x-range": f"{self.low} to {self.high}",
        }


class DurationIn(_UnitIn):
    """A duration; becomes float seconds. A bare number is seconds."""

    what = "duration"
    example = '"250ms", "10s", "1m30s" or "2h"'

    def read(self, text: Any) -> float:
        """Read "250ms" or a number of seconds."""
        return parse_duration(text)

    def show(self, number: float) -> str:
        """Write "250ms"."""
        return format_duration(number)


class DurationRangeIn(DurationIn):
    """A span such as "200ms..10s"; becomes (seconds, seconds). One duration is both ends."""

    what = "range of durations"
    example = '"200ms..10s", the shorter one first'

    def parse(self, value: Any) -> tuple[float, float]:
        """Read both ends and hold each against the limits."""
        try:
            low, high = parse_duration_range(value)
        except (TypeError, ValueError):
            raise fault(
                f"{quoted(value)} is not a {self.what}", hint=f"write {self.example}"
            ) from None
        return DurationIn.parse(self, low), DurationIn.parse(self, high)

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda span: f"{span[0]}s..{span[1]}s", when_used="json"
            ),
        )


class SizeIn(_UnitIn):
    """A size; becomes int bytes. A bare number is bytes."""

    what = "size"
    example = '"512MiB", "2GiB" or a number of bytes'

    def read(self, text: Any) -> int:
        """Read "512MiB" or a number of bytes."""
        return parse_size(text)

    def show(self, number: int) -> str:
        """Write "512MiB"."""
        return format_size(number)


class ShareIn(_UnitIn):
    """A share; becomes a float where 1.0 is 100 %."""

    what = "share"
    example = '"50%" or "150%"'

    def read(self, text: Any) -> float:
        """Read "50%" or 0.5."""
        return parse_share(text)

    def show(self, number: float) -> str:
        """Write "50%"."""
        return f"{number * 100:g}%"


class SizeOrShareIn(SizeIn):
    """A size, or a share of the whole; becomes int bytes, or a float of 0 to 1 for a share.

    A bare whole number is bytes, and one with a point is a share.
    """

    what = "size or share"
    example = '"1GiB" or "10%"'

    def parse(self, value: Any) -> int | float:
        """Read "1GiB" or "10%", 1024 or 0.1."""
        if isinstance(value, float) or (isinstance(value, str) and "%" in value):
            return float(ShareIn("0%", "100%").parse(value))
        return int(SizeIn.parse(self, value))
