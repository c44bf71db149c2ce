"""The launcher's files are what Ray's own schema expects."""

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


def test_cluster_yaml_validates_against_rays_schema(prepared):
    assert set(prepared["available_node_types"]) == {"head", "shards", "gpu"}
    assert prepared["available_node_types"]["head"]["resources"]["CPU"] == 0
    assert prepared["available_node_types"]["gpu"]["resources"]["GPU"] == 1


def test_every_node_gets_the_wheel(prepared):
    assert "./dist" in prepared["file_mounts"].values()
    assert any("dist/*.whl" in command for command in prepared["setup_commands"])


def test_the_kuberay_manifest_has_the_same_nodes():
    cluster, claim = yaml.safe_load_all((ROOT / "examples/raycluster.yaml").read_text())
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert [group["groupName"] for group in cluster["spec"]["workerGroupSpecs"]] == [
        "shards",
        "gpu",
    ]
    assert cluster["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    volumes = cluster["spec"]["workerGroupSpecs"][0]["template"]["spec"]["volumes"]
    assert volumes[0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
