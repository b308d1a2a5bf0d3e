"""Images as OCI layouts: the same name gives the same digests. Their layers are half noise, half text, so that
they compress to about one half, as real ones do."""

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import tarfile

# Compressed megabytes of each layer. U is L with another top layer.
PLAN = {
    "M": [80, 45, 30, 20, 12, 8, 4, 1],
    "L": [400, 200, 120, 90, 60, 45, 30, 25, 12, 8, 5, 5],
    "U": [400, 200, 120, 90, 60, 45, 30, 25, 12, 8, 5, 5],
}
WORDS = [f"{word}{number}_".encode() for word in ("edge", "node", "share", "lib", "policy") for number in range(60)]


def make(folder):
    """Makes what is not there yet."""
    made = {}
    for name, sizes in PLAN.items():
        if not (folder / name / "index.json").exists():
            _make_image(folder / name, name, sizes, made)


def blobs(layout):
    return sorted((layout / "blobs" / "sha256").iterdir())


def size(layout):
    return sum(blob.stat().st_size for blob in blobs(layout))


def load_into_engine(folder, name, reference):
    """Gives the engine an image, under a name to push it by."""
    archive = folder / f"{name}.tar"
    if not archive.exists():
        subprocess.run(["skopeo", "copy", "-q", f"oci:{folder / name}:latest", f"docker-archive:{archive}:bench/{name.lower()}:1"], check=True)
    subprocess.run(["docker", "load", "-q", "-i", archive], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["docker", "tag", f"bench/{name.lower()}:1", reference], check=True)


def _make_image(layout, name, sizes, made):
    store = layout / "blobs" / "sha256"
    store.mkdir(parents=True)
    layers, diff_ids = [], []
    for index, megabytes in enumerate(sizes):
        seed = f"{'L' if name == 'U' and index < len(sizes) - 1 else name}-{index}"
        if seed in made:
            layer, diff_id, file = made[seed]
            os.link(file, store / file.name)
        else:
            layer, diff_id, file = _make_layer(store, seed, megabytes * 1_000_000)
            made[seed] = layer, diff_id, file
        layers.append(layer)
        diff_ids.append(diff_id)
    config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _put(store, "application/vnd.oci.image.config.v1+json", config),
        "layers": layers,
    }
    root = _put(store, manifest["mediaType"], manifest)
    root |= {"platform": {"architecture": "amd64", "os": "linux"}, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))


def _put(store, media_type, content):
    data = json.dumps(content).encode()
    digest = hashlib.sha256(data).hexdigest()
    (store / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _make_layer(store, seed, compressed):
    noise = random.Random(seed)
    plain = hashlib.sha256()
    target = store / "layer"
    with target.open("wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:

        class Both(io.RawIOBase):
            def write(self, data):
                plain.update(data)
                return packed.write(data)

        with tarfile.open(fileobj=Both(), mode="w|", format=tarfile.GNU_FORMAT) as tar:
            for number in range(compressed * 2 // 1_000_000):
                entry = tarfile.TarInfo(f"opt/{seed}/{number:05}.bin")
                entry.size = 1_000_000
                text = b"".join(noise.choices(WORDS, k=100)) * 1000
                tar.addfile(entry, io.BytesIO(noise.randbytes(490_000) + text[:510_000]))
    digest = hashlib.sha256()
    with target.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    file = store / digest.hexdigest()
    shutil.move(target, file)
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": f"sha256:{file.name}", "size": file.stat().st_size}
    return layer, f"sha256:{plain.hexdigest()}", file
