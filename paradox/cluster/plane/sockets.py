"""How sockets of the data plane are set, at either end."""

from __future__ import annotations

from typing import Any

import zmq

from paradox.cluster.plane.calls import Limits, PlaneAddress

_HEARTBEAT_MS, _HEARTBEAT_TIMEOUT_MS = 1_000, 3_000
_RECONNECT_MS, _RECONNECT_MAX_MS = 50, 1_000
_READ_AHEAD = 32
"""Messages of one caller that are read before they are looked at; more stay with the caller."""


def answerer(
    context: zmq.Context[Any], host: str, *, secret_key: bytes, limits: Limits
) -> zmq.Socket[bytes]:
    """Return a socket that answers at a port of this address of the node, IPv4 or IPv6."""
    router: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    is_v6 = ":" in host
    router.setsockopt(zmq.IPV6, int(is_v6))
    router.setsockopt(zmq.MAXMSGSIZE, limits.message_bytes)
    router.setsockopt(zmq.RCVHWM, _READ_AHEAD)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    _keep_alive(router)
    router.curve_server = True
    router.curve_secretkey = secret_key
    router.bind(f"tcp://[{host}]:*" if is_v6 else f"tcp://{host}:*")
    return router


def caller(context: zmq.Context[Any], address: PlaneAddress) -> zmq.Socket[bytes]:
    """Return a socket that calls there once it is connected."""
    dealer: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.IPV6, int("[" in address.endpoint))
    dealer.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
    dealer.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
    _keep_alive(dealer)
    dealer.curve_serverkey = address.server_key
    dealer.curve_publickey = address.client_public
    dealer.curve_secretkey = address.client_secret
    return dealer


def _keep_alive(made: zmq.Socket[bytes]) -> None:
    """Have a connection that carries nothing noticed as lost, and leave nothing behind."""
    made.setsockopt(zmq.LINGER, 0)
    made.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    made.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
