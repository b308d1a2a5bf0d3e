"""Pushes and pulls measured side by side with the peers: medians, and the ratios of the same run.

    python3 benches/transfer                         every case, 5 runs each
    python3 benches/transfer push-cold pull-cold     some of them
    python3 benches/transfer --tls push-cold         the same over TLS by a private authority

Needs docker-registry, skopeo, openssl and GNU time (Debian: docker-registry skopeo openssl time), and for the
case `engine` a running Docker engine (DOCKER_HOST). The program is built first as it is shipped
(`--profile dist`, some ten minutes). Everything is on loopback.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

import images
import transfer_floor
from link import Link
from measure import Figures, measure
from servers import OwnRegistry, Registry, make_authority

ROOT = pathlib.Path(__file__).resolve().parents[2]

# How much of the peer's figure ours may be.
BARS = {
    "push-cold": {"wall": 0.5, "cpu": 0.35},
    "push-again": {"wall": 0.5},
    "push-update": {"wall": 0.5},
    "pull-cold": {"wall": 0.45},
    "engine": {"wall": 0.4},
    "engine-again": {"wall": 1.0},
}
# The most memory that ours may use, in MiB, in the cases that move a whole image.
PEAK_MIB = 20.0
PEAK_CASES = ("push-cold", "pull-cold")
# A pull against the least that it can take.
FLOOR = 1.3
# The part of an image that may go again through a link that resets.
SENT_TWICE = 0.05
# How long one transfer through such a link may take, in seconds.
LINK_PATIENCE = 300


class Bench:
    """Where everything lies, and how both sides are called."""

    def __init__(self, scratch, program, pictures, tls):
        self.scratch = scratch
        self.program = program
        self.pictures = pictures
        self.tls = make_authority(scratch) if tls else None
        self.state = scratch / "state"
        self.out = scratch / "out"

    def registry(self):
        return Registry(self.scratch, self.tls)

    def ours(self, *arguments):
        return [str(self.program), "--quiet", "image", "copy", *arguments]

    def environment(self):
        """Nothing of this user's: no logins, no memory of earlier transfers but the bench's own."""
        kept = {key: os.environ[key] for key in ("PATH", "DOCKER_HOST") if key in os.environ}
        home = {"HOME": str(self.scratch), "XDG_STATE_HOME": str(self.state), "EDGEPOST_HOME": str(self.state)}
        return kept | home

    def layout(self, name):
        return f"oci:{self.pictures / name}:latest"

    def forget(self):
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree(self.out, ignore_errors=True)
        caches = pathlib.Path("/var/lib/containers/cache"), self.scratch / ".local/share/containers/cache"
        for cache in caches:
            shutil.rmtree(cache, ignore_errors=True)

    def push(self, who, image, reference):
        if who == "ours":
            return self.ours(self.layout(image), reference)
        verify = ["--dest-cert-dir", str(self.tls.folder)] if self.tls else ["--dest-tls-verify=false"]
        return ["skopeo", "copy", "-q", *verify, self.layout(image), f"docker://{reference}"]

    def pull(self, who, reference):
        if who == "ours":
            return self.ours(reference, f"oci:{self.out}:latest")
        verify = ["--src-cert-dir", str(self.tls.folder)] if self.tls else ["--src-tls-verify=false"]
        return ["skopeo", "copy", "-q", *verify, f"docker://{reference}", f"oci:{self.out}:latest"]

    def timed(self, command, much=False):
        return measure(command, self.environment(), self.scratch, much)


def push_cold(bench, who):
    bench.forget()
    with bench.registry() as registry:
        return bench.timed(bench.push(who, "L", f"{registry.host}/bench/l:1"), much=True)


def push_again(bench, who):
    bench.forget()
    with bench.registry() as registry:
        bench.timed(bench.push(who, "L", f"{registry.host}/bench/l:1"))
        return bench.timed(bench.push(who, "L", f"{registry.host}/bench/l:2"))


def push_update(bench, who):
    bench.forget()
    with bench.registry() as registry:
        bench.timed(bench.push(who, "L", f"{registry.host}/bench/l:1"))
        return bench.timed(bench.push(who, "U", f"{registry.host}/bench/l:2"))


def pull_cold(bench, who):
    with bench.registry() as registry:
        reference = f"{registry.host}/bench/l:1"
        bench.timed(bench.push("skopeo", "L", reference))
        bench.forget()
        return bench.timed(bench.pull(who, reference), much=True)


def engine(bench, who, times=1):
    bench.forget()
    with bench.registry() as registry:
        reference = f"{registry.host}/bench/{who}:1"
        images.load_into_engine(bench.pictures, "M", reference)
        push = ["docker", "push", "-q", reference] if who == "docker" else bench.ours(f"docker:{reference}", reference)
        figures = [bench.timed(push) for _ in range(times)]
        subprocess.run(["docker", "image", "rm", reference], check=True, stdout=subprocess.DEVNULL)
        return figures[-1]


def engine_again(bench, who):
    return engine(bench, who, times=2)


def compare(bench, case, run, peer, runs):
    """Runs both in turn, so that both see the same machine, and prints medians and ratios."""
    taken = {"ours": [], peer: []}
    for _ in range(runs):
        for who, figures in taken.items():
            figures.append(run(bench, who))
    ours, theirs = (Figures.median(it) for it in taken.values())
    print(f"{case:12}  ours   {ours}")
    print(f"{'':12}  {peer:6} {theirs}")
    held = True
    for figure, bar in BARS[case].items():
        ratio = statistics.median(
            getattr(a, figure) / max(getattr(b, figure), 0.01) for a, b in zip(taken["ours"], taken[peer])
        )
        held &= ratio <= bar
        print(f"{'':12}  {figure}: {ratio:.2f} of {peer}'s (bar {bar}){'' if ratio <= bar else '  MISSED'}")
    if case in PEAK_CASES and ours.peak > PEAK_MIB:
        held = False
        print(f"{'':12}  peak memory above {PEAK_MIB:.0f} MiB  MISSED")
    return held


def floor(bench, runs):
    """A pull beside what this machine needs to receive, hash and write the same bytes: the least it can take."""
    blobs = images.blobs(bench.pictures / "L")
    ours, least = [], []
    for _ in range(runs):
        ours.append(pull_cold(bench, "ours").wall)
        bench.forget()
        least.append(transfer_floor.measure(blobs, bench.out, streams=4))
    ratio = statistics.median(a / b for a, b in zip(ours, least))
    print(f"{'floor':12}  pull {statistics.median(ours):.2f} s, the least {statistics.median(least):.2f} s: {ratio:.2f} (bar {FLOOR}){'' if ratio <= FLOOR else '  MISSED'}")
    return ratio <= FLOOR


def link(bench, _runs):
    """The 200 MB image through a link that resets every 5 MB: what goes twice, of ours and of skopeo."""
    held = True
    total = images.size(bench.pictures / "M")
    for verb, of in ("push", OwnRegistry), ("push", Registry), ("pull", Registry):
        for who in "ours", "skopeo":
            bench.forget()
            with of(bench.scratch, None) if of is Registry else of(bench.scratch, bench.program) as registry:
                if verb == "pull":
                    bench.timed(bench.push("skopeo", "M", f"{registry.host}/bench/m:1"))
                    bench.forget()
                with Link(registry.port, every=5_000_000) as cut:
                    reference = f"{cut.host}/bench/m:1"
                    command = bench.push(who, "M", reference) if verb == "push" else bench.pull(who, reference)
                    figures = bench.timed(["timeout", str(LINK_PATIENCE), *command])
                moved = cut.up if verb == "push" else cut.down
            end = "done" if figures.code == 0 else "FAILED"
            print(f"link {verb:7}  {who:6} {end}: {moved / 1e6:.1f} MB moved of {total / 1e6:.1f}, {cut.resets} resets, {figures.wall:.1f} s ({of.NAME})")
            # Against docker-registry, which ends a session that broke, nobody can go on.
            if who == "ours" and not (verb == "push" and of is Registry):
                held &= figures.code == 0 and moved < total * (1 + SENT_TWICE)
    return held


CASES = {
    "push-cold": lambda bench, runs: compare(bench, "push-cold", push_cold, "skopeo", runs),
    "push-again": lambda bench, runs: compare(bench, "push-again", push_again, "skopeo", runs),
    "push-update": lambda bench, runs: compare(bench, "push-update", push_update, "skopeo", runs),
    "pull-cold": lambda bench, runs: compare(bench, "pull-cold", pull_cold, "skopeo", runs),
    "floor": floor,
    "engine": lambda bench, runs: compare(bench, "engine", engine, "docker", runs),
    "engine-again": lambda bench, runs: compare(bench, "engine-again", engine_again, "docker", runs),
    "link": link,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--images", type=pathlib.Path, help="a folder where the images are, or are made and kept")
    parser.add_argument("--program", type=pathlib.Path, help="measure this program instead of building one")
    parser.add_argument("--tls", action="store_true")
    arguments = parser.parse_args()
    program = arguments.program
    if program is None:
        subprocess.run(["cargo", "build", "--profile", "dist", "--locked", "--quiet"], check=True, cwd=ROOT)
        program = ROOT / "target/dist/edgepost"
    cases = arguments.cases or [it for it in CASES if "DOCKER_HOST" in os.environ or not it.startswith("engine")]
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        pictures = arguments.images or scratch / "images"
        images.make(pictures)
        bench = Bench(scratch, program.resolve(), pictures.resolve(), arguments.tls)
        held = [CASES[case](bench, arguments.runs) for case in cases]
    sys.exit(0 if all(held) else 1)


main()
