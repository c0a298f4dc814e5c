"""The agent in a container: packaging/container, built from our own package by podman, with the
configuration of the example for Kubernetes.

`make fleet` runs this: it has Kubernetes' schemas.
"""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.engine import Engine, Spec
from tests.hosts.host import KEY
from tests.support.agent import wait_until
from tests.support.events_api import EventsApi

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "docs/statefulset.yaml"
TOOLS = os.environ.get("PDAGENT_FLEET", "")
USER = 64_000
BODY = {"routing_key": "@db", "event_action": "trigger"}
POST = "curl -sS -m 20 -o /dev/null -w '%{http_code}' http://127.0.0.1:49463/v2/enqueue -d"

pytestmark = [
    pytest.mark.skipif(not TOOLS, reason="`make fleet` brings Kubernetes' schemas"),
    pytest.mark.only("ansible-deb"),  # whose root file system is the base of the image
]


def manifests() -> dict[str, dict[str, object]]:
    """The example's objects, by kind."""
    script = "import json, sys, yaml; print(json.dumps([*yaml.safe_load_all(sys.stdin)]))"
    done = subprocess.run(
        [f"{TOOLS}/bin/python", "-c", script],
        input=EXAMPLE.read_bytes(),
        capture_output=True,
        check=True,
    )
    return {each["kind"]: each for each in json.loads(done.stdout)}


def test_the_example_is_kubernetes() -> None:
    """Each object, every field of it, by Kubernetes' own schemas."""
    command = [f"{TOOLS}/bin/kubernetes-validate", "--strict", str(EXAMPLE)]
    subprocess.run(command, check=True, capture_output=True)


class Pod:
    """What the example's sidecar is: its image, user, mounts and read-only root."""

    def __init__(self, engine: Engine, image: str, api: EventsApi, directory: Path) -> None:
        self._engine = engine
        self._image = image
        self._api = api
        self._volume = f"{engine.label}-spool-{uuid.uuid4().hex[:8]}"
        self._container = ""
        found = manifests()
        self._mounts = []
        for kind, place in (("ConfigMap", "pdagent.conf.d"), ("Secret", "pdagent.keys")):
            source = directory / place
            source.mkdir()
            data = found[kind].get("data") or found[kind]["stringData"]
            assert isinstance(data, dict)
            for name, text in data.items():
                (source / name).write_text(text)
            self._mounts.append(f"--volume={source}:/etc/{place}:ro")
        url = f"[Main]\nevents_url = http://events.test:{api.port}\n"
        (directory / "pdagent.conf.d/90-test.conf").write_text(url)
        engine("volume", "create", self._volume)

    def start(self) -> None:
        self._container = self._engine(
            *("run", "--detach", "--pull=never", f"--network={self._engine.label}"),
            *(f"--add-host=events.test:{self._engine.gateway}", f"--user={USER}:{USER}"),
            *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
            *(f"--volume={self._volume}:/var/lib/pdagent", *self._mounts, self._image),
        )
        wait_until(lambda: self.asks("http://127.0.0.1:9110/healthz") == "200")

    def asks(self, url: str) -> str:
        """The status with which the agent answers, "" where it does not."""
        command = f"curl -sS -m 20 -o /dev/null -w '%{{http_code}}' {url} || :"
        return self.sh(command).removesuffix("000")

    def sh(self, script: str) -> str:
        return self._engine("exec", self._container, "sh", "-c", script)

    @property
    def address(self) -> str:
        [found] = json.loads(self._engine("inspect", self._container))
        networks = found["NetworkSettings"]["Networks"]
        return str(networks[self._engine.label]["IPAddress"])

    def post(self, dedup_key: str) -> str:
        payload = {"summary": "x", "source": "app", "severity": "critical"}
        body = json.dumps({**BODY, "dedup_key": dedup_key, "payload": payload})
        return self.sh(f"{POST} '{body}'")

    def kill(self) -> None:
        self._engine("rm", "--force", "--time=0", self._container)
        self._container = ""

    def stop(self) -> int:
        """As the kubelet ends it; the exit code."""
        self._engine("stop", "--time=30", self._container)
        return int(self._engine("wait", self._container))

    def close(self) -> None:
        if self._container:
            self.kill()
        self._engine("volume", "rm", "--force", self._volume)


@pytest.fixture
def pod(spec: Spec, engine: Engine, api: EventsApi, tmp_path: Path) -> Iterator[Pod]:
    context = tmp_path / "context"
    context.mkdir()
    shutil.copy(REPOSITORY / "packaging/container/Containerfile", context)
    [package] = (REPOSITORY / "dist").glob("pdagent_*_amd64.deb")
    shutil.copy(package, context)
    image = f"localhost/{engine.label}-agent"
    engine(
        *("build", "--isolation=oci", "--network=none", "--pull=never", "--quiet"),
        *("--build-arg", f"BASE={spec.image}", "--tag", image, str(context)),
    )
    pod = Pod(engine, image, api, tmp_path)
    yield pod
    pod.close()
    engine("rmi", "--force", image)


def test_an_event_outlives_its_container(pod: Pod, api: EventsApi) -> None:
    """The application posts an event by the name of its key; PagerDuty is away; the container is
    killed. Another one with the same volume delivers it, and says that it is well, from outside,
    too. It runs as nobody in particular, with nothing to write but its mounts."""
    pod.start()
    assert pod.post("first") == "202"
    assert api.wait_accepted(1)[0].key == KEY
    assert pod.asks(f"http://{pod.address}:9110/healthz") == "200"
    assert pod.asks(f"http://{pod.address}:49463/v2/enqueue") == ""

    api.stop()
    assert pod.post("second") == "202"
    pod.kill()
    api.start()
    pod.start()
    api.wait_accepted(2)
    assert pod.sh("id -u; touch /etc/x 2>&1 || :").split("\n")[0] == str(USER)
    pod.sh("pdagent reload")
    for what in ("pdagent check --config-only", "pdagent check"):
        pod.sh(f"{what} || [ $? = 1 ]")  # they warn of plain HTTP
    assert pod.stop() == 0
