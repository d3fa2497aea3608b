"""What goes wrong with an OPC UA server, in words that say what to do; asyncua's own are status codes, or nothing."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from ..twin.errors import IoTSenseError, SourceError

_USER = "check `username` and `password`, or `user_certificate`, and whether the server knows this user"
_TRUST = (
    "the server does not trust our certificate: have it trusted there (many servers keep what they refused in a folder "
    "`rejected`); `iotsense trust list` shows which it is"
)
_ADVICE = {
    "BadUserAccessDenied": _USER,
    "BadIdentityTokenRejected": _USER,
    "BadIdentityTokenInvalid": _USER,
    "BadUserSignatureInvalid": _USER,
    "BadSecurityChecksFailed": _TRUST,
    "BadCertificateUntrusted": _TRUST,
    "BadCertificateInvalid": _TRUST,
    "BadCertificateChainIncomplete": _TRUST,
    "BadCertificateIssuerRevocationUnknown": _TRUST,
    "BadCertificateUriInvalid": "our certificate is for another `application_uri`: leave it out, or give that one",
    "BadCertificateTimeInvalid": "our certificate is not valid now: renew it, and compare the clocks of both machines",
    "BadCertificateUseNotAllowed": "our certificate is not meant for a client: have one made with that usage",
    "BadSecurityPolicyRejected": "the server does not accept this `security_policy`",
    "BadSecurityModeRejected": "the server does not accept this `security_mode`",
    "BadSecurityModeInsufficient": "the server wants an encrypted connection: set `security_policy`",
    "BadTooManySessions": "the server has no session left for us: close others, or raise its limit",
    "BadTcpEndpointUrlInvalid": "the server does not know this address: compare the path of the url with its endpoints",
    "BadServerHalted": "the server is not running",
    "BadShutdown": "the server is shutting down",
    "BadTcpMessageTypeInvalid": "whoever answers there speaks no OPC UA",
    "BadNodeIdUnknown": "no such node",
    "BadNodeIdInvalid": "this is no node id",
    "BadNodeIdRejected": "the server refuses this node",
    "BadAttributeIdInvalid": "this node has no value: it is no variable",
    "BadNotReadable": "this variable cannot be read",
    "BadNotWritable": "this variable cannot be written",
    "BadTypeMismatch": "the variable is of another type",
    "BadOutOfRange": "the value is outside of what the variable takes",
    "BadTooManyMonitoredItems": "the server watches no more variables: ask for fewer, or raise its limit",
    "BadDeadbandFilterInvalid": "the server does not take this deadband",
    "BadFilterNotAllowed": "the server takes no deadband for this variable",
    "BadMonitoredItemFilterUnsupported": "the server takes no deadband for this variable",
}


def explain(status: int) -> str:
    """A status code by its name, with what to do if we know."""
    from asyncua import ua

    # The lower half has flags; the name belongs to the upper one.
    name, _ = ua.status_codes.get_name_and_doc(status & 0xFFFF0000)
    advice = _ADVICE.get(name)
    return f"{name} ({advice})" if advice else name


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raises SourceError for all that asyncua and the network raise; `what` was being done."""
    from asyncua.ua.uaerrors import UaError, UaStatusCodeError

    try:
        yield
    except IoTSenseError:
        raise
    except UaStatusCodeError as error:
        raise SourceError(f"{what}: {explain(error.code)}") from error
    except ConnectionRefusedError:
        raise SourceError(f"{what}: nobody listens there") from None
    except TimeoutError:
        raise SourceError(f"{what}: no answer in time") from None
    except AssertionError:
        # asyncua asserts that an answer came: the server has closed the connection instead.
        raise SourceError(f"{what}: the server closed the connection without a word; perhaps {_TRUST}") from None
    except (UaError, OSError, struct.error, ValueError) as error:
        raise SourceError(f"{what}: {str(error) or type(error).__name__}") from error
