"""pki.py - an authority for one test, and a leaf for its names"""
import pathlib
import subprocess


def make(directory, names):
    """(ca.pem, leaf.pem, leaf.key) below `directory`"""
    d = pathlib.Path(directory)

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=d, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-days", "7", "-subj", "/CN=Paddock hostile CA", "-out", "ca.pem",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", *key, "-keyout", "leaf.key", "-subj", "/CN=Paddock hostile", "-out", "leaf.csr")
    (d / "leaf.ext").write_text("subjectAltName=" + ",".join(
        ("IP:" if n[0].isdigit() or ":" in n else "DNS:") + n for n in names) +
        "\nbasicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "7",
            "-extfile", "leaf.ext", "-out", "leaf.pem")
    return d / "ca.pem", d / "leaf.pem", d / "leaf.key"
