"""Endpoints that change all the time: a thread of the step that changes the scale patches one after another.

Each patch gives the first endpoint of one of the unused Services another address of the range without pods.
"""

import threading
import time
from functools import partial
from typing import Final

from steps.cluster.kube.api.client import Client
from steps.cluster.kube.api.permissions import BENCHMARK, ENDPOINTSLICES
from steps.cluster.kube.scale import objects
from steps.cluster.kube.scale.api_load import AT_ONCE
from steps.cluster.kube.scale.objects import Quantity

_OTHER: Final = 2**16
"""How far the other address of an endpoint is from its own."""


class Churn:
    """Changes so many endpoints per second until it is stopped; as many as the API server admits where those are fewer.

    `version`: of IP.
    """

    def __init__(self, client: Client, quantity: Quantity, rate_per_s: float, version: int) -> None:
        self._client = client
        self._quantity = quantity
        self._rate_per_s = rate_per_s
        self._version = version
        self._over = threading.Event()
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._begun = 0
        self._made = 0
        self._failure: BaseException | None = None
        count = AT_ONCE if rate_per_s > 1 else 1
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for each in self._threads:
            each.start()

    @property
    def achieved_per_s(self) -> float:
        """Changes per second since it began.

        Raises:
            Problem: a change failed, and its thread ended.
        """
        if self._failure is not None:
            raise self._failure
        return self._made / max(1e-9, time.monotonic() - self._began)

    def stop(self) -> None:
        """End it, and wait for the calls that were made."""
        self._over.set()
        for each in self._threads:
            each.join()

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                with self._lock:
                    number, self._begun = self._begun, self._begun + 1
                due = self._began + number / self._rate_per_s
                if self._over.wait(max(0.0, due - time.monotonic())):
                    return
                self._change(number)
                with self._lock:
                    self._made += 1
        except BaseException as error:  # noqa: BLE001 - raised again where its progress is asked for
            self._failure = error

    def _change(self, number: int) -> None:
        """Give the first endpoint of the next Service its other address, or its own back."""
        turn, index = divmod(number, self._quantity.services)
        first = next(objects.endpoint_slices(index + 1, self._quantity.endpoints, self._version))
        own = (index * self._quantity.endpoints) + (0 if turn % 2 else _OTHER)
        endpoints = [objects.endpoint(objects.address(own, self._version)), *first["endpoints"][1:]]
        patch = partial(self._client.patch, ENDPOINTSLICES, first["metadata"]["name"])
        patch({"endpoints": endpoints}, BENCHMARK)
