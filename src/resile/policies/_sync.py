"""The loops of the synchronous colour: nothing but the order of calls. `_async` has the same."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from resile.policies.nesting import mark_loop

if TYPE_CHECKING:
    from resile.policies.breaking import BreakerLayer
    from resile.policies.retrying import RetryLayer

T = TypeVar("T")


def retry(layer: "RetryLayer", call: Callable[[], T]) -> T:
    """Do `call` until it succeeds or the run of attempts gives up."""
    run = layer.start()
    try:
        while True:
            try:
                result = call()
            except Exception as error:
                wait_s = run.failed(error)
                if wait_s is None:
                    wrapped = run.exhausted()
                    if wrapped is None:
                        raise
                    raise wrapped from error
            else:
                wait_s = run.returned(result)
                if wait_s is None:
                    wrapped = run.exhausted()
                    if wrapped is None:
                        return result
                    raise wrapped
            layer.clock.sleep(wait_s)
    finally:
        run.close()


mark_loop(retry.__code__)


def breaker(layer: "BreakerLayer", call: Callable[[], T]) -> T:
    """Do `call` if the breaker lets it through, and tell it what came of it."""
    probe = layer.start(call)
    try:
        result = call()
    except Exception as error:
        probe.failed(error)
        raise
    else:
        probe.returned(result)
        return result
    finally:
        probe.close()
