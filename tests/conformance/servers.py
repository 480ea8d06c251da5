"""The servers that the suite runs against besides devstore: how each is started. What they are known not to do is in
`limitations`."""

import json
import subprocess
from pathlib import Path

from botocore.exceptions import ClientError

from stores import ACCESS_KEY, BUCKET, KMS_KEY_ARN, KMS_KEY_ID, SECRET_KEY, WRITER_ACCESS_KEY, Store, free_ports

# 256 bits for a key server that is none.
KMS_KEY = "Y29uZm9ybWFuY2UtY29uZm9ybWFuY2UtY29uZm9ybWE="
# What a writer's policy allows: write and abort, no reading, listing or deleting.
WRITE_ONLY = ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"]


class SeaweedFS(Store):
    """SeaweedFS, all parts in one process."""

    name = "SeaweedFS"
    word = "seaweedfs"
    # Its local key server makes a key for any id, and takes no ARN.
    kms_key_id = KMS_KEY_ID

    def __init__(self, executable, folder):
        super().__init__(folder)
        self.executable = executable
        self.writer = (WRITER_ACCESS_KEY, SECRET_KEY)
        self.ports = []

    def start(self):
        chain, key = self.certificate()
        self.ports = ports = free_ports(9)
        flags = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port"]
        flags += ["filer.port.grpc", "s3.port", "s3.port.grpc", "s3.port.https"]
        config = self.folder / "s3.json"
        config.write_text(self._identities())
        data = self.folder / "data"
        data.mkdir()
        self.spawn(
            "weed",
            *(self.executable, "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *("-master.telemetry=false", "-master.volumeSizeLimitMB=1024", "-volume.max=0", "-filer", "-s3"),
            # Nobody else is to be told that it goes.
            "-volume.preStopSeconds=0",
            *(f"-{flag}={port}" for flag, port in zip(flags, ports)),
            *(f"-s3.cert.file={chain}", f"-s3.key.file={key}", f"-s3.domainName={self.domain}"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}", "-s3.autoCreateBucket=false"),
            # The key that SSE-S3's own keys are wrapped with: any 256 bits.
            WEED_S3_SSE_KEK="0" * 63 + "7",
        )
        self.http = f"http://127.0.0.1:{ports[6]}"
        self.https = f"https://127.0.0.1:{ports[8]}"
        self.wait_http(f"{self.http}/status")
        self.wait("a bucket", self._bucket)

    def stop(self):
        super().stop()
        # It never removes its sockets, and they are outside of its folder.
        for port in self.ports:
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()

    def _bucket(self):
        """The filer comes up after the door: until then nothing can be made."""
        try:
            self.client().create_bucket(Bucket=BUCKET)
        except ClientError:
            return False
        return True

    def _identities(self):
        def identity(name, access_key, actions):
            return {
                "name": name,
                "credentials": [{"accessKey": access_key, "secretKey": SECRET_KEY}],
                "actions": actions,
            }

        return json.dumps(
            {
                "identities": [
                    identity("owner", ACCESS_KEY, ["Admin", "Read", "Write", "List", "Tagging"]),
                    identity("writer", WRITER_ACCESS_KEY, [f"Write:{BUCKET}"]),
                ],
                "kms": {
                    "default_provider": "local",
                    "providers": {
                        "local": {"type": "local", "enableOnDemandCreate": True, "cache_enabled": True}
                    },
                },
            }
        )


class Ceph(Store):
    """Ceph's S3 gateway on a cluster of one monitor and one store in memory, as root without a user of its own."""

    name = "Ceph RGW"
    word = "ceph"
    writer_fields = {"acl": "bucket-owner-full-control"}
    kms_key_id, kms_key_arn = KMS_KEY_ID, KMS_KEY_ARN

    def start(self):
        chain, key = self.certificate()
        self.http_port, self.https_port, mon_v1, mon_v2 = free_ports(4)
        for name in ["mon", "osd", "rgw", "run"]:
            (self.folder / name).mkdir()
        cluster, osd = "8f1c5a3e-0000-4000-8000-0000000000c1", "8f1c5a3e-0000-4000-8000-0000000000c2"
        self.config = self.folder / "ceph.conf"
        self.config.write_text(self._configuration(cluster, mon_v1, mon_v2, chain, key))
        self._monitor(cluster, f"[v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]")
        self._object_store(osd)
        self.spawn("rgw", "radosgw", "-f", "-c", self.config, "-n", "client.rgw", *self._root())
        self.http, self.https = f"http://127.0.0.1:{self.http_port}", f"https://127.0.0.1:{self.https_port}"
        self.wait_http(self.http)
        self._users()

    @staticmethod
    def _root():
        return ["--setuser", "root", "--setgroup", "root"]

    def _monitor(self, cluster, addresses):
        admin, mon = self.folder / "admin.keyring", self.folder / "mon.keyring"
        everything = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"]
        self._tool("ceph-authtool", "--create-keyring", mon, "--gen-key", "-n", "mon.", *everything[:3])
        self._tool("ceph-authtool", "--create-keyring", admin, "--gen-key", "-n", "client.admin", *everything)
        self._tool("ceph-authtool", mon, "--import-keyring", admin)
        monitors = self.folder / "monmap"
        self._tool("monmaptool", "--create", "--fsid", cluster, "--addv", "a", addresses, monitors)
        start = ["ceph-mon", "-c", self.config, "-i", "a"]
        self._tool(*start, "--mkfs", "--monmap", monitors, "--keyring", mon)
        self.spawn("mon", *start, "-f", *self._root())
        self.wait("the monitor", lambda: self._ceph("-s") is not None)

    def _object_store(self, osd):
        self._ceph("osd", "new", osd, "0")
        self._ceph("osd", "crush", "add-bucket", "host0", "host")
        self._ceph(
            *("auth", "get-or-create", "osd.0", "mon", "allow profile osd", "mgr", "allow profile osd"),
            *("osd", "allow *", "-o", self.folder / "osd/keyring"),
        )
        self._ceph(
            *("auth", "get-or-create", "client.rgw", "mon", "allow rwx", "osd", "allow rwx", "mgr", "allow rw"),
            *("-o", self.folder / "rgw/keyring"),
        )
        start = ["ceph-osd", "-c", self.config, "-i", "0"]
        self._tool(*start, "--mkfs", "--osd-uuid", osd)
        self.spawn("osd", *start, "-f", *self._root())
        self.wait("the object store", lambda: "1 up" in self._ceph("osd", "stat"))

    def _users(self):
        """The owner with the bucket, and a writer whom the bucket's policy lets in."""
        for name, access_key in [("owner", ACCESS_KEY), ("writer", WRITER_ACCESS_KEY)]:
            self._tool(
                *("radosgw-admin", "-c", self.config, "-n", "client.rgw", "user", "create", f"--uid={name}"),
                *(f"--display-name={name}", f"--access-key={access_key}", f"--secret-key={SECRET_KEY}"),
            )
        client = self.client()
        client.create_bucket(Bucket=BUCKET)
        actions = ", ".join(f'"{action}"' for action in WRITE_ONLY)
        client.put_bucket_policy(
            Bucket=BUCKET,
            Policy='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", '
            '"Principal": {"AWS": ["arn:aws:iam:::user/writer"]}, '
            f'"Action": [{actions}], "Resource": ["arn:aws:s3:::{BUCKET}/*"]}}]}}',
        )
        self.writer = (WRITER_ACCESS_KEY, SECRET_KEY)

    def _tool(self, *line):
        """Run one of Ceph's tools to its end."""
        done = subprocess.run(
            list(map(str, line)), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            raise RuntimeError(f"{line[0]} failed: {done.stderr.strip()[-500:]}")
        return done.stdout

    def _ceph(self, *line):
        return self._tool("ceph", "-c", self.config, "--connect-timeout", "20", *line)

    def _configuration(self, cluster, mon_v1, mon_v2, chain, key):
        folder = self.folder
        return f"""[global]
fsid = {cluster}
mon host = v2:127.0.0.1:{mon_v2}/0,v1:127.0.0.1:{mon_v1}/0
mon initial members = a
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
public network = 127.0.0.0/8
ms bind ipv4 = true
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 1
mon data avail crit = 1
log file = {folder}/$name.ceph.log
admin socket = {folder}/run/$name.asok
run dir = {folder}/run
crash dir = {folder}/run
[client.admin]
keyring = {folder}/admin.keyring
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
osd objectstore = memstore
keyring = {folder}/osd/keyring
osd heartbeat addr = 127.0.0.1
memstore device bytes = 6442450944
osd class update on start = false
[client.rgw]
rgw data = {folder}/rgw
keyring = {folder}/rgw/keyring
rgw frontends = beast endpoint=127.0.0.1:{self.http_port} ssl_endpoint=127.0.0.1:{self.https_port} ssl_certificate={chain} ssl_private_key={key}
rgw dns name = {self.domain}
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = {KMS_KEY_ID}={KMS_KEY} {KMS_KEY_ARN}={KMS_KEY}
rgw gc obj min wait = 60
rgw enable usage log = false
rgw thread pool size = 64
"""


class Garage(Store):
    """Garage on one node; it speaks no TLS."""

    name = "Garage"
    word = "garage"
    region = "garage"

    def __init__(self, executable, folder):
        super().__init__(folder)
        self.executable = executable

    def start(self):
        s3_port, rpc_port, admin_port = free_ports(3)
        self.config = self.folder / "garage.toml"
        self.config.write_text(
            f"""metadata_dir = "{self.folder}/meta"
data_dir = "{self.folder}/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc_port}"
rpc_public_addr = "127.0.0.1:{rpc_port}"
rpc_secret = "{'07' * 32}"
[s3_api]
api_bind_addr = "127.0.0.1:{s3_port}"
s3_region = "{self.region}"
root_domain = ".{self.domain}"
[admin]
api_bind_addr = "127.0.0.1:{admin_port}"
"""
        )
        self.spawn("garage", self.executable, "-c", self.config, "server")
        self.wait("the node", lambda: bool(self._garage("node", "id", "-q")))
        self.wait("its status", lambda: bool(self._garage("status")))
        node = self._garage("node", "id", "-q").split("@")[0]
        self._garage("layout", "assign", "-z", "here", "-c", "10G", node)
        self._garage("layout", "apply", "--version", "1")
        self.http = f"http://127.0.0.1:{s3_port}"
        # Garage's keys have a form of their own.
        self.access_key, self.secret_key = "GK" + "0c" * 12, "0f" * 32
        self._garage("key", "import", "--yes", "-n", "owner", self.access_key, self.secret_key)
        self._garage("bucket", "create", BUCKET)
        self._garage("bucket", "allow", "--read", "--write", "--owner", BUCKET, "--key", self.access_key)
        writer = "GK" + "0d" * 12
        self._garage("key", "import", "--yes", "-n", "writer", writer, self.secret_key)
        self._garage("bucket", "allow", "--write", BUCKET, "--key", writer)
        self.writer = (writer, self.secret_key)

    def _garage(self, *line):
        done = subprocess.run(
            [str(self.executable), "-c", str(self.config), *line], capture_output=True, text=True, timeout=60
        )
        done.check_returncode()
        return done.stdout
