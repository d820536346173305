"""The keys of a judge on a forge: made in memory, handed to the forge as secrets, and kept nowhere else."""

import base64
import secrets
from functools import cached_property

from pushforward.errors import TOOL, PushforwardError

SIGNING, SEAL = "PUSHFORWARD_SIGNING_KEY", "PUSHFORWARD_SEAL"
SEAL_BYTES = 32


class Keys:
    """A key pair that signs versions, and what seals a holdout's numbers; each is made when it is first asked for."""

    @cached_property
    def _pair(self) -> tuple[str, str]:
        from cryptography.hazmat.primitives import serialization  # takes as long as a verb that needs none
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.generate()
        pem, ssh, plain = serialization.Encoding.PEM, serialization.Encoding.OpenSSH, serialization.NoEncryption()
        private = key.private_bytes(pem, serialization.PrivateFormat.OpenSSH, plain).decode()
        public = key.public_key().public_bytes(ssh, serialization.PublicFormat.OpenSSH).decode()
        return private, public

    def private(self) -> str:
        """The private half, without a passphrase, as ssh-keygen writes it."""
        return self._pair[0]

    def public(self) -> str:
        """The public half, "type base64"."""
        return self._pair[1]

    def seal(self) -> str:
        """What seals a holdout's numbers."""
        return secrets.token_hex(SEAL_BYTES)


def sealed(public: str, value: str) -> str:
    """A value sealed to a forge's public key (base64), as libsodium does it; in base64."""
    try:
        from nacl.public import PublicKey, SealedBox
    except ImportError:
        raise PushforwardError(
            "GitHub takes a secret sealed by libsodium: gh does that, and a token alone needs PyNaCl",
            next="gh auth login, or install pushforward[github]",
            exit_code=TOOL,
        ) from None
    box = SealedBox(PublicKey(base64.b64decode(public)))
    return base64.b64encode(box.encrypt(value.encode())).decode()
