"""Ports for servers."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from reaseq.errors import NotReadyError
from reaseq.free_port import PORTS, free_port, is_free


def test_a_free_port_can_be_taken_once() -> None:
    """Somebody can listen there, and then nobody else."""
    port = free_port()
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
        server.listen()
        assert not is_free("127.0.0.1", port)
    assert is_free("127.0.0.1", port)


def test_consecutive_ports_are_free_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port whose neighbour is taken is passed over."""
    taken = {20_001, 20_004}
    monkeypatch.setattr("reaseq.free_port.PORTS", range(20_000, 20_006))
    monkeypatch.setattr("reaseq.free_port.NUM_TRIES", 6)
    monkeypatch.setattr("reaseq.free_port.is_free", lambda _, port: port not in taken)
    assert free_port(num_ports=2) in (20_002, 20_005)


def test_no_outgoing_connection_takes_a_free_port() -> None:
    """They lie below the ports that the system gives to connections of its own."""
    kept = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not kept.exists():
        pytest.skip("only Linux says which ports it gives")
    first, _ = map(int, kept.read_text().split())
    assert PORTS.stop <= first


def test_an_address_of_another_machine_is_said() -> None:
    """198.51.100.0/24 is nobody's (RFC 5737)."""
    with pytest.raises(NotReadyError, match=r"198\.51\.100\.77"):
        free_port("198.51.100.77")
