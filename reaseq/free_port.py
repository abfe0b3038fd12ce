"""A TCP port for a server that is about to start."""

from __future__ import annotations

import random
import socket

from reaseq.errors import NotReadyError

PORTS = range(20_000, 32_000)
"""Below the ports that Linux, macOS and Windows give to outgoing connections, one of which could
take a free port before its server does; above those of Ray's workers."""

NUM_TRIES = 1000

_RANDOM = random.SystemRandom()
"""Processes that start together must not try the same ports one after the other."""


def free_port(host: str = "127.0.0.1", num_ports: int = 1) -> int:
    """The first of `num_ports` consecutive ports on which nobody listens now.

    Raises NotReadyError when there is none, as where `host` is not an address of this machine.
    """
    for first in _RANDOM.sample(PORTS, k=NUM_TRIES):
        if all(is_free(host, port) for port in range(first, first + num_ports)):
            return first
    raise NotReadyError(f"no server can listen on {host}: is it an address of this machine?")


def is_free(host: str, port: int) -> bool:
    """Whether a server of ours could listen there now."""
    with socket.socket() as probe:
        # As servers do: a connection that just ended there is in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
