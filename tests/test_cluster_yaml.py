"""The launcher's files are what Ray's own schema expects, and say the same on every node."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent


@pytest.fixture
def prepared():
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))
    validate_config(config)
    return config


@pytest.fixture
def manifest():
    return list(yaml.safe_load_all((ROOT / "examples/raycluster.yaml").read_text()))


@pytest.fixture
def pods(manifest):
    """The pod templates of all nodes, by the name of their group."""
    spec = manifest[0]["spec"]
    groups = {"head": spec["headGroupSpec"]}
    groups |= {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    return {name: group["template"]["spec"] for name, group in groups.items()}


def test_cluster_yaml_validates_against_rays_schema(prepared):
    assert set(prepared["available_node_types"]) == {"head", "shards", "gpu"}
    assert prepared["available_node_types"]["head"]["resources"]["CPU"] == 0
    assert prepared["available_node_types"]["gpu"]["resources"]["GPU"] == 1


def test_every_node_gets_the_wheel(prepared):
    assert "./dist" in prepared["file_mounts"].values()
    assert any("dist/*.whl" in command for command in prepared["setup_commands"])


def test_every_node_asks_for_the_token_and_has_it(prepared):
    assert prepared["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"
    for commands in (prepared["head_start_ray_commands"], prepared["worker_start_ray_commands"]):
        assert "RAY_AUTH_MODE=token ray start" in commands[-1]


def test_every_node_keeps_collections_on_the_shared_file_system(prepared):
    assert any("mount -t nfs4" in command for command in prepared["setup_commands"])
    for commands in (prepared["head_start_ray_commands"], prepared["worker_start_ray_commands"]):
        assert "PARADOX_HOME=/paradox " in commands[-1]


def test_the_kuberay_manifest_has_the_same_nodes(manifest, pods):
    cluster = manifest[0]
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert set(pods) == {"head", "shards", "gpu"}
    assert cluster["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert cluster["spec"]["authOptions"] == {"mode": "token"}


@pytest.mark.parametrize("group", ["head", "shards", "gpu"])
def test_every_pod_keeps_collections_on_the_claimed_volume(manifest, pods, group):
    claim = manifest[1]
    [container] = pods[group]["containers"]
    [home] = [each["value"] for each in container["env"] if each["name"] == "PARADOX_HOME"]
    [mount] = [each for each in container["volumeMounts"] if each["mountPath"] == home]
    [volume] = [each for each in pods[group]["volumes"] if each["name"] == mount["name"]]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
