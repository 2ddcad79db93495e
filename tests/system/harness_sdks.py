"""Vendors' own libraries with the files that they insist on: the AWS SDK for JavaScript, google-auth-library with a service
account's key, kubectl with a kubeconfig. Each reads what was rendered, and each server gets the real thing. needs: clients"""
import json
import os
import shutil
import subprocess
import tempfile

import clients
from clients import said
from credentials import AWS_KEY, AWS_SECRET, AWS_TOKEN, Services
from paddock import check, finish, sandbox, skip

LOOPBACK = "addresses: [127.0.0.0/8]"


def rules(hosts, credential):
    return "version: 1\nnetwork:\n" + "".join(
        f"  - {{hosts: [\"{h}\"], methods: [\"*\"], {f'credential: {c}, ' if c else ''}{LOOPBACK}}}\n" for h, c in hosts) + \
        "credentials:\n" + credential


S3 = r"""
import { S3Client, PutObjectCommand, HeadObjectCommand, DeleteObjectCommand } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';

const s3 = new S3Client({ region: process.argv[2], maxAttempts: 1 });
const at = { Bucket: 'bucket', Key: 'a b/ü+(1).txt' };
const sent = async command => {
  try { return (await s3.send(command)).$metadata.httpStatusCode; } catch (e) { return `${e.name} ${e.$metadata?.httpStatusCode}`; }
};

console.log((await s3.config.credentials()).accessKeyId);
console.log(await sent(new PutObjectCommand({ ...at, Body: Buffer.from('hello world\n'), Metadata: { note: 'two  spaces' } })));
console.log(await sent(new PutObjectCommand({ ...at, Body: Readable.from([Buffer.alloc(300000, 1), Buffer.alloc(7, 2)]), ContentLength: 300007 })));
console.log(await sent(new HeadObjectCommand(at)));
console.log(await sent(new DeleteObjectCommand(at)));
"""


def s3(s, w):
    keys = s.root / "keys"
    keys.write_text(f"[default]\naws_access_key_id = {AWS_KEY}\naws_secret_access_key = {AWS_SECRET}\naws_session_token = {AWS_TOKEN}\n")
    os.chmod(keys, 0o600)
    s.set_policy(rules([("*.amazonaws.com", "aws")], f"""\
  aws:
    source: {{file: {keys}}}
    hosts: ["*.amazonaws.com"]
    strategy: sigv4
    sigv4: {{services: [s3], regions: [us-east-1]}}
    placeholder: {{files: [{{kind: aws}}]}}
"""))
    clients.copy_modules(s.workspace, "@aws-sdk/client-s3")
    (s.workspace / "s3.mjs").write_text(S3)
    r = s.sh("node s3.mjs us-east-1", "--quiet", *w.options())
    key, *results = r.stdout.split("\n")[:5]
    good = [row["method"] for row in w.asked if row.get("good")]
    check("AWS SDK: bytes, a stream, HEAD, DELETE verify with the real keys", results == ["200"] * 4 and good == ["PUT", "PUT", "HEAD", "DELETE"],
          (said(r), w.asked))
    check("AWS SDK: the agent has other keys", key.startswith("AKIA") and key != AWS_KEY and AWS_SECRET not in r.stdout, said(r))
    puts = [row for row in w.asked if row["method"] == "PUT"]
    check("AWS SDK: the bodies are whole", len(puts) == 2 and b"hello world\n" in puts[0]["body"] and
          puts[1]["body"].count(b"\1") >= 300000 and b"\2" * 7 in puts[1]["body"], puts)
    w.forget()
    r = s.sh("node s3.mjs eu-west-1", "--quiet", *w.options(), "--resolve",
             f"bucket.s3.eu-west-1.amazonaws.com:443:127.0.0.1:{w.ports['plain']}")
    check("AWS SDK: another region is refused, as an answer that it understands", r.stdout.count(" 403") == 4 and not w.asked, (said(r), w.asked))


GOOGLE = r"""
import { GoogleAuth } from 'google-auth-library';
const auth = new GoogleAuth({ scopes: ['https://www.googleapis.com/auth/cloud-platform'] });
const client = await auth.getClient();
const r = await client.request({ url: 'https://api.creds.test/bearer' });
console.log(r.status, JSON.stringify(r.data), (await client.getAccessToken()).token, await auth.getProjectId());
"""


def google(s, w):
    key, public = s.root / "account.pem", str(w.pki / "account.pub")
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", key, "2048"], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", public], check=True, stderr=subprocess.DEVNULL)
    account = s.root / "account.json"
    account.write_text(json.dumps({"type": "service_account", "client_email": "robot@project.test", "private_key_id": "k1",
                                   "private_key": key.read_text(), "token_uri": "https://oauth2.googleapis.com/token", "project_id": "p-1"}))
    os.chmod(account, 0o600)
    w.keys["robot@project.test"] = public
    s.set_policy(rules([("api.creds.test", "gcp"), ("oauth2.googleapis.com", "")], f"""\
  gcp:
    source: {{file: {account}}}
    hosts: [api.creds.test]
    strategy: token
    token: {{grant: jwt_bearer, scope: "https://www.googleapis.com/auth/cloud-platform", {LOOPBACK}}}
    placeholder: {{prefix: ya29., files: [{{kind: service_account}}]}}
"""))
    w.forget()
    clients.copy_modules(s.workspace, "google-auth-library")
    (s.workspace / "google.mjs").write_text(GOOGLE)
    r = s.sh("node google.mjs", "--quiet", *w.options())
    check("Google: the library signs with the placeholder key, is answered here, and its token becomes the real one",
          r.stdout.startswith('200 {"ok":true} ya29.') and r.stdout.rstrip().endswith(" p-1"), (said(r), w.asked))
    asked = w.of("oauth2.googleapis.com")
    check("Google: the endpoint saw the courier alone, with an assertion by the real key", len(asked) == 1 and
          asked[0]["form"]["grant_type"].endswith("jwt-bearer") and "google" not in asked[0]["headers"].get("user-agent", ""), asked)
    check("Google: the library's own request to it is on record as answered here", any(o.get("answered_here") for o in s.records("outcome")),
          s.records("outcome"))


def kubectl(s, w):
    if not shutil.which("kubectl"):
        skip("kubectl with the kubeconfig that is rendered", "there is no kubectl here")
        return
    s.set_policy(rules([("api.creds.test", "cluster")], """\
  cluster:
    source: {environment: CLUSTER_TOKEN}
    hosts: [api.creds.test]
    header: {name: authorization, format: "Bearer {secret}"}
    placeholder: {prefix: k8s-, files: [{kind: kubeconfig, user: ann}]}
"""))
    w.forget()
    token = w.provider.issue("kubectl", "cluster-token-")
    r = s.sh("kubectl config view --raw; kubectl get --raw /bearer", "--quiet", *w.options(), env={"CLUSTER_TOKEN": token})
    check("kubectl: reads the kubeconfig, and its request goes with the real token", "server: https://api.creds.test" in r.stdout and
          '{"ok": true}' in r.stdout and "token: k8s-" in r.stdout, (said(r), w.asked))
    check("kubectl: the agent has a placeholder", token not in r.stdout + r.stderr and w.asked and
          all(row["headers"].get("authorization") == f"Bearer {token}" for row in w.asked), (said(r), w.asked))


with tempfile.TemporaryDirectory(prefix="paddock-pki-") as d, sandbox("sdks") as s:
    services = Services(d)
    for part in (s3, google, kubectl):
        part(s, services)
finish()
