"""What whole contained runs must do on pure v2."""

from tests.vm.guest import Check

CHECKS: dict[str, dict[str, Check]] = {"root": {}, "service": {}, "user": {}, "stranger": {}}
