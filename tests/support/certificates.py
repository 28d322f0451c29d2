"""An authority of the tests' own, and the certificates that it gives."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any


class Authority:
    """A certificate authority that is good for an hour.

    Args:
        directory: of its files; made.

    Attributes:
        path: of its own certificate, in PEM.
        server: paths of the certificate of a server at 127.0.0.1, and of its key.
        client: paths of a certificate that names no address, and of its key.
    """

    def __init__(self, directory: Path) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign(f"authority of {directory.name}", self._key, authority=True)
        self.path = self._write("authority.pem", self._certificate)
        self.server, self.client = self._give("server", "127.0.0.1"), self._give("client")

    def parameters(self) -> str:
        """Return the parameters of an address for a client."""
        return f"ca={self.path}&cert={self.client[0]}&key={self.client[1]}"

    def context(self) -> ssl.SSLContext:
        """Return what a server in Python takes, which asks for a certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.path))
        context.load_cert_chain(*self.server)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _give(self, name: str, *addresses: str) -> tuple[Path, Path]:
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        return (
            self._write(f"{name}.pem", self._sign(name, key, addresses)),
            self._write(f"{name}.key", key),
        )

    def _sign(self, name: str, key: Any, addresses: tuple[str, ...] = (), *, authority: bool = False) -> Any:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if authority else self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            # What Python asks for from 3.13 on (VERIFY_X509_STRICT; RFC 5280, 4.2.1).
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(authority), critical=True)
        )
        if addresses:
            names = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, thing: Any) -> Path:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        path = self._directory / name
        if hasattr(thing, "private_bytes"):
            path.write_bytes(thing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            path.chmod(0o600)
        else:
            path.write_bytes(thing.public_bytes(Encoding.PEM))
        return path


def _usage(authority: bool) -> Any:
    from cryptography import x509

    names = (
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **dict.fromkeys(names, False)
    )
