"""Sparkplug payloads by themselves: of dead letters that are tried again, and from sources that are no MQTT brokers."""

from ..twin.errors import InvalidValueError
from .parsers import PARSE, Failure, Failures, SamplesParser
from .sample import Sample
from .sparkplug_node import Device
from .sparkplug_payload import decode_payload


def sparkplug_parser(address: str) -> SamplesParser:
    """The parser of payloads of one edge node or device. Without births it cannot read metrics that bear an alias."""

    def parse(payload: bytes, failures: Failures) -> list[Sample]:
        decoded = decode_payload(payload)
        if not decoded.metrics:
            raise InvalidValueError("there are no metrics in the payload")
        device, samples = Device(address), list[Sample]()
        for metric in decoded.metrics:
            try:
                samples += device.read(metric, decoded, 0)
            except InvalidValueError as error:
                failures.append(Failure(PARSE, str(error)))
        return samples

    return parse
