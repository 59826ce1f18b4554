# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of a test."""
import os
import subprocess

EXTENSIONS = """
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[leaf]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
[elsewhere]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:elsewhere.example, IP:192.0.2.1
"""


class Authority:
    """A certificate authority in a folder, by the openssl command."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.name = name
        self.serial = 0
        (folder / "extensions").write_text(EXTENSIONS)
        self._key(name)
        self._openssl("req", "-new", "-x509", "-key", f"{name}.key", "-subj", f"/CN={name}",
                      "-config", "extensions", "-extensions", "ca", "-days", "2", "-out",
                      f"{name}.pem")

    def _openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def _key(self, name):
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-out", f"{name}.key")

    def issue(self, name, subject, days=1, extensions="leaf"):
        """name.key and name.pem; each renamed into place. days=0: it has expired already."""
        self.serial += 1
        self._key(f"{name}.new")
        self._openssl("req", "-new", "-key", f"{name}.new.key", "-subj", subject,
                      "-config", "extensions", "-out", f"{name}.csr")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey",
                      f"{self.name}.key", "-set_serial", str(self.serial), "-days", str(days),
                      "-extfile", "extensions", "-extensions", extensions, "-out",
                      f"{name}.new.pem")
        for kind in ("key", "pem"):
            os.replace(self.folder / f"{name}.new.{kind}", self.folder / f"{name}.{kind}")
        return self.serial

    def path(self, file):
        return str(self.folder / file)
