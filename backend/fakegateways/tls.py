"""Certificates that are good or bad in one chosen way, made on the spot; knows no HTTP."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import warnings
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = datetime.timedelta(days=1)


class Certificate(StrEnum):
    """What a client that checks will say of the connection."""

    GOOD = "good"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_HOST = "wrong_host"
    SELF_SIGNED = "self_signed"
    UNKNOWN_AUTHORITY = "unknown_authority"
    OLD_PROTOCOL = "old_protocol"
    """A good certificate behind TLS 1.0 only."""


@dataclass(frozen=True, slots=True)
class Material:
    """Files in PEM. `authority` is what a client has to trust; for a bad kind that does not help, and so it should."""

    chain: Path
    key: Path
    authority: Path


def make(kind: Certificate, folder: Path) -> Material:
    """Write a certificate of this kind for localhost and 127.0.0.1 into the folder and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = _certificate("Fake gateways authority", root_key, signer=None, authority=True)
    trusted = root
    if kind is Certificate.UNKNOWN_AUTHORITY:
        trusted = _certificate(
            "Another authority", ec.generate_private_key(ec.SECP256R1()), signer=None, authority=True
        )
    key = ec.generate_private_key(ec.SECP256R1())
    signer = None if kind is Certificate.SELF_SIGNED else (root, root_key)
    leaf = _certificate("localhost", key, signer=signer, authority=False, kind=kind)
    files = Material(folder / f"{kind}.pem", folder / f"{kind}.key", folder / f"{kind}.authority.pem")
    files.chain.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    files.authority.write_bytes(trusted.public_bytes(serialization.Encoding.PEM))
    files.key.touch(mode=0o600)
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def server_context(chain: Path, key: Path, *, old_protocol: bool = False) -> ssl.SSLContext:
    """Return the server side of TLS for these files; with `old_protocol` nothing newer than TLS 1.0 is spoken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if old_protocol:
        # OpenSSL 3 speaks TLS 1.0 only when its own security level is lowered first.
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1
    context.load_cert_chain(chain, key)
    return context


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    authority: bool,
    kind: Certificate = Certificate.GOOD,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    begins, ends = now - 30 * _DAY, now + 30 * _DAY
    if kind is Certificate.EXPIRED:
        ends = now - _DAY
    elif kind is Certificate.NOT_YET_VALID:
        begins = now + _DAY
    issuer, issuer_key = (subject, key) if signer is None else (signer[0].subject, signer[1])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if authority:
        builder = builder.add_extension(_may_sign(), critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName(_names(kind)), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _names(kind: Certificate) -> list[x509.GeneralName]:
    if kind is Certificate.WRONG_HOST:
        return [x509.DNSName("somewhere-else.example.test")]
    return [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


def _may_sign() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
