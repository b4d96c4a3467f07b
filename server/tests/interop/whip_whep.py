"""Publishes by WHIP and watches by WHEP with aiortc, a WebRTC stack that nobody here wrote.

    python server/tests/interop/whip_whep.py target/debug/vetrina

It starts the server in a network namespace of its own, because aiortc offers no loopback addresses;
every frame carries its number as black and white blocks, so that what arrives can be compared with
what was sent. Prints a line per check and a closing count; exit code 1 when a check failed.
"""

import asyncio
import fractions
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

ADDRESS = "10.77.0.1"
BASE = f"http://{ADDRESS}:8080"
SECRET = "interop-only-secret-of-a-server-in-its-own-namespace"
WIDTH, HEIGHT, RATE = 640, 360, 30
BITS, COLUMNS = 16, 8
FRAMES_WANTED = 240


def enter_namespace():
    """Runs this script again in a fresh network namespace with one address."""
    unshare = ["unshare", "--net"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    os.environ["VETRINA_INTEROP_NAMESPACE"] = "1"
    os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def make_network():
    for command in (
        "ip link set lo up",
        "ip link add vetrina0 type veth peer name vetrina1",
        f"ip addr add {ADDRESS}/24 dev vetrina0",
        "ip link set vetrina0 up",
        "ip link set vetrina1 up",
    ):
        subprocess.run(command.split(), check=True)


if __name__ == "__main__" and "VETRINA_INTEROP_NAMESPACE" not in os.environ:
    if len(sys.argv) != 2:
        sys.exit("usage: whip_whep.py path/to/vetrina")
    sys.argv[1] = os.path.abspath(sys.argv[1])
    enter_namespace()

import aiohttp  # noqa: E402
import av  # noqa: E402
import numpy  # noqa: E402
from aiortc import (  # noqa: E402
    AudioStreamTrack,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    VideoStreamTrack,
)


class NumberedFrames(VideoStreamTrack):
    """Frames at an even rate, each with its number in blocks; remembers when each was made."""

    def __init__(self):
        super().__init__()
        self.number = 0
        self.made = {}
        self.start = None

    async def recv(self):
        if self.start is None:
            self.start = time.monotonic()
        due = self.start + self.number / RATE
        await asyncio.sleep(max(0, due - time.monotonic()))
        gray = numpy.full((HEIGHT * 3 // 2, WIDTH), 128, dtype=numpy.uint8)
        block_width, block_height = WIDTH // COLUMNS, HEIGHT // (BITS // COLUMNS)
        for bit in range(BITS):
            x, y = bit % COLUMNS * block_width, bit // COLUMNS * block_height
            light = 220 if self.number >> bit & 1 else 30
            gray[y : y + block_height, x : x + block_width] = light
        frame = av.VideoFrame.from_ndarray(gray, format="yuv420p")
        frame.pts = self.number * 90_000 // RATE
        frame.time_base = fractions.Fraction(1, 90_000)
        self.made[self.number] = time.monotonic()
        self.number += 1
        return frame


def number_of(frame):
    gray = frame.to_ndarray(format="gray")
    height, width = gray.shape
    block_width, block_height = width // COLUMNS, height // (BITS // COLUMNS)
    number = 0
    for bit in range(BITS):
        x, y = bit % COLUMNS * block_width, bit // COLUMNS * block_height
        block = gray[y + block_height // 4 : y + block_height * 3 // 4,
                     x + block_width // 4 : x + block_width * 3 // 4]
        number |= int(block.mean() > 125) << bit
    return number


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def that(self, holds, what):
        self.passed += bool(holds)
        self.failed += not holds
        print(("ok    " if holds else "FAILED ") + what, flush=True)


async def exchange(http, pc, url, token, seconds=20):
    """Sends the offer until it is taken; gives the session's URL. A show that is not live yet
    answers 409 with Retry-After."""
    await pc.setLocalDescription(await pc.createOffer())
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    deadline = time.monotonic() + seconds
    while True:
        async with http.post(url, data=pc.localDescription.sdp, headers=headers) as answer:
            text = await answer.text()
            if answer.status == 201:
                location = answer.headers["Location"]
                break
            if answer.status not in (409, 503) or time.monotonic() > deadline:
                raise RuntimeError(f"{url}: {answer.status} {text}")
            await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
    await pc.setRemoteDescription(RTCSessionDescription(sdp=text, type="answer"))
    return location if location.startswith("http") else BASE + location


async def delete(http, url, token):
    async with http.delete(url, headers={"Authorization": f"Bearer {token}"}) as answer:
        return answer.status


async def watch(pc, made):
    """Decodes until enough frames came; gives their numbers and ages, and counts audio frames."""
    video = next(t.receiver.track for t in pc.getTransceivers() if t.kind == "video")
    audio = next(t.receiver.track for t in pc.getTransceivers() if t.kind == "audio")
    heard = 0

    async def listen():
        nonlocal heard
        while True:
            await audio.recv()
            heard += 1

    listening = asyncio.create_task(listen())
    numbers, ages_ms = [], []
    try:
        async with asyncio.timeout(60):
            while len(numbers) < FRAMES_WANTED:
                frame = await video.recv()
                number = number_of(frame)
                numbers.append(number)
                if number in made:
                    ages_ms.append((time.monotonic() - made[number]) * 1e3)
    except TimeoutError:
        pass
    listening.cancel()
    return numbers, ages_ms, heard


async def one_codec(http, checks, codec, show, host, guest):
    publisher, viewer = RTCPeerConnection(), RTCPeerConnection()
    frames = NumberedFrames()
    publisher.addTransceiver(AudioStreamTrack(), direction="sendonly")
    sender = publisher.addTransceiver(frames, direction="sendonly")
    capabilities = RTCRtpSender.getCapabilities("video").codecs
    sender.setCodecPreferences([c for c in capabilities if c.mimeType == f"video/{codec}"])
    viewer.addTransceiver("video", direction="recvonly")
    viewer.addTransceiver("audio", direction="recvonly")
    whip = await exchange(http, publisher, BASE + show["whip_url"], host)
    asked = time.monotonic()
    whep = await exchange(http, viewer, BASE + show["whep_url"], guest)
    numbers, ages_ms, heard = await watch(viewer, frames.made)
    took = time.monotonic() - asked
    known = [number for number in numbers if number in frames.made]
    backwards = sum(b < a for a, b in zip(known, known[1:]))
    ages_ms.sort()
    p95 = ages_ms[len(ages_ms) * 95 // 100] if ages_ms else float("inf")
    median = statistics.median(ages_ms) if ages_ms else float("inf")
    print(f"      {codec}: {len(numbers)} frames decoded in {took:.1f} s, {len(known)} with their "
          f"number intact, age p50 {median:.0f} ms, p95 {p95:.0f} ms, {heard} audio frames")
    enough = len(numbers) >= FRAMES_WANTED
    checks.that(enough, f"{codec}: the viewer decodes {FRAMES_WANTED} frames")
    checks.that(len(known) >= 0.98 * len(numbers), f"{codec}: they are the frames that were sent")
    checks.that(backwards == 0, f"{codec}: in the order they were sent")
    checks.that(heard >= 100, f"{codec}: audio is heard")
    checks.that(p95 < 1_000, f"{codec}: within a second")
    checks.that(await delete(http, whep, guest) == 200, f"{codec}: WHEP DELETE answers 200")
    checks.that(await delete(http, whep, guest) == 404, f"{codec}: and then 404")
    checks.that(await delete(http, whip, host) == 200, f"{codec}: WHIP DELETE answers 200")
    await viewer.close()
    await publisher.close()


def said(binary, environment, *arguments):
    command = [binary, *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


async def ready(http, server):
    for _ in range(400):
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with {server.returncode}")
        try:
            async with http.get(f"http://{ADDRESS}:9464/health/ready") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)
    raise RuntimeError("the server did not become ready")


async def run(binary, folder):
    environment = {**os.environ, "VETRINA_TOKEN_SECRET": SECRET}
    folder_of = ("--data-dir", folder)
    seller = said(binary, environment, "seller", "Interop", *folder_of)
    host = said(binary, environment, "token", "--role", "host", "--seller", seller, *folder_of)
    server = subprocess.Popen(
        [binary, "serve", "--listen", f"{ADDRESS}:8080", "--ops-listen", f"{ADDRESS}:9464",
         "--udp-bind", ADDRESS, "--public-ip", ADDRESS, "--data-dir", folder, "--log", "warn"],
        env=environment, stdin=subprocess.DEVNULL)
    checks = Checks()
    try:
        async with aiohttp.ClientSession() as http:
            await ready(http, server)
            body = {"title": "Interop", "currency": "EUR"}
            headers = {"Authorization": f"Bearer {host}", "Idempotency-Key": "interop"}
            async with http.post(f"{BASE}/v1/shows", json=body, headers=headers) as answer:
                show = json.loads(await answer.text())
            async with http.post(f"{BASE}/v1/tokens",
                                 json={"grant": "guest", "show": show["id"]}) as answer:
                guest = json.loads(await answer.text())["token"]
            async with http.post(BASE + show["whip_url"], data="v=0\r\n",
                                 headers={"Content-Type": "application/sdp"}) as answer:
                checks.that(answer.status == 401, "WHIP without a token answers 401")
            for codec in ("VP8", "H264"):
                await one_codec(http, checks, codec, show, host, guest)
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
    checks.that(server.returncode == 0, "the server ends cleanly on SIGTERM")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return checks.failed == 0


if __name__ == "__main__":
    links = subprocess.run(["ip", "link"], capture_output=True, text=True).stdout
    if not re.search(r"lo:.*<.*UP", links):
        make_network()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(0 if asyncio.run(run(sys.argv[1], folder)) else 1)
