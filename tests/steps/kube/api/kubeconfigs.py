"""Kubeconfigs for tests: a sound one, and what is needed to make it odd."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

EXEC_VERSION = "client.authentication.k8s.io/v1"


def document(
    *, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **others: object
) -> dict[str, Any]:
    """One context, `staging`, of `the-cluster`, as `me`; `others` replace whole fields."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "the-cluster", "cluster": {"server": "https://127.0.0.1:9"} | (cluster or {})}],
        "users": [{"name": "me", "user": {"token": "secret"} if user is None else user}],
        "contexts": [{"name": "staging", "context": {"cluster": "the-cluster", "user": "me"}}],
        "current-context": "staging",
        **others,
    }


def written(folder: Path, content: object, name: str = "kubeconfig") -> dict[str, str]:
    """The variables that lead to a kubeconfig of that content (a document, text or bytes), and a namespace."""
    file = folder / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return {"KUBECONFIG": str(file), "BENCHMARK_NAMESPACE": "bench"}


def certificate(folder: Path, name: str = "127.0.0.1") -> tuple[Path, Path]:
    """A certificate that signs itself, and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("elsewhere.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "tls.crt", folder / "tls.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
