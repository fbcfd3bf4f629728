"""Certificates of a test's own authority, which nobody else trusts."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """Signs for servers on 127.0.0.1. `certificate` is its own, as PEM."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        builder = _builder(self._name, self._name, self._key).add_extension(constraints, critical=True)
        self.certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def keystore(self, *, names: Sequence[str] = ("localhost",), age: timedelta = timedelta(0)) -> bytes:
        """A server's key and its certificate, one PEM after the other. A certificate is good for a day."""
        key = ec.generate_private_key(ec.SECP256R1())
        loopback = [x509.IPAddress(ip_address("127.0.0.1"))] if "localhost" in names else []
        addresses = x509.SubjectAlternativeName([*loopback, *map(x509.DNSName, names)])
        builder = _builder(_name("kafka"), self._name, key, age).add_extension(addresses, critical=False)
        signed = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + signed

    def write(self, path: Path) -> str:
        """Its certificate as a file; returns the name of it."""
        path.write_bytes(self.certificate)
        return str(path)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, age: timedelta = timedelta(0)
) -> x509.CertificateBuilder:
    now = datetime.now(UTC) - age
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
