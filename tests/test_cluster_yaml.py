"""cluster.yaml against Ray's own schema, and against what the schema does not look at."""

import re
import shlex
import tomllib
from importlib import metadata
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from orchestrator.commands.cli import app

ROOT = Path(__file__).resolve().parents[1]
COMMON, AWS, ON_PREMISES = re.split(r"# --- .* ---\n", (ROOT / "cluster.yaml").read_text())
UNCOMMENTED = "".join(
    line.removeprefix("# ") for line in ON_PREMISES.splitlines(keepends=True) if re.match(r"# ( *- | *[a-z_]+:)", line)
)
VARIANTS = {"aws": COMMON + AWS, "local": COMMON + UNCOMMENTED}
# Keys that Ray reads of a provider, and that EC2's RunInstances has; Ray takes any others without a word.
PROVIDER_KEYS = {
    "aws": {
        "type",
        "region",
        "availability_zone",
        "cache_stopped_nodes",
        "use_internal_ips",
        "security_group",
        "key_pair",
    },
    "local": {"type", "head_ip", "worker_ips", "coordinator_address", "external_head_ip"},
}
NODE_KEYS = {
    *("BlockDeviceMappings", "IamInstanceProfile", "ImageId", "InstanceMarketOptions", "InstanceType", "KeyName"),
    *("NetworkInterfaces", "Placement", "SecurityGroupIds", "SubnetId", "SubnetIds", "TagSpecifications", "UserData"),
}


def options_of(config):
    docker = config["docker"]
    return [*docker["run_options"], *docker.get("head_run_options", [])]


@pytest.fixture(params=VARIANTS)
def kind(request):
    return request.param


@pytest.fixture
def config(kind):
    return yaml.safe_load(VARIANTS[kind])


def test_ray_accepts_it(kind, config):
    prepared = prepare_config(config)
    validate_config(prepared)
    assert prepared["provider"]["type"] == kind
    assert prepared["head_start_ray_commands"] == config["head_start_ray_commands"]


def test_rays_check_would_see_a_mistake():
    config = yaml.safe_load(VARIANTS["aws"])
    config["available_node_types"]["gpu"]["resources"] = {"GPU": 0.5}
    with pytest.raises(jsonschema.ValidationError, match="is not of type 'integer'"):
        validate_config(prepare_config(config))


def test_the_provider_has_no_key_that_ray_would_not_read(kind, config):
    assert set(config["provider"]) <= PROVIDER_KEYS[kind]
    assert config["auth"]["ssh_user"]


def test_the_image_is_of_the_ray_and_the_python_that_the_project_is_tested_with(config):
    image = re.fullmatch(r"rayproject/ray:(.+)-py(\d)(\d+)-gpu", config["docker"]["image"])
    assert image
    assert image[1] == metadata.version("ray")
    assert f"{image[2]}.{image[3]}" == "3.11"


def test_a_container_has_shared_memory_and_the_token_as_a_file(config):
    options = " ".join(options_of(config)).split()
    assert any(option.startswith("--shm-size=") for option in options)
    assert "RAY_AUTH_MODE=token" in options
    path = next(o for o in options if o.startswith("RAY_AUTH_TOKEN_PATH=")).partition("=")[2]
    assert config["file_mounts"][path] == "~/.ray/auth_token"
    assert not any(option.startswith("RAY_AUTH_TOKEN=") for option in options)


def test_every_node_installs_the_package_from_where_it_is_copied_to(config):
    installed = {word for command in config["setup_commands"] for word in shlex.split(command)}
    (place,) = (remote for remote, local in config["file_mounts"].items() if local == ".")
    assert f"{place}[cluster]" in installed
    assert "cluster" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {".git", ".venv", "robust-sweep-results"} <= set(config["rsync_exclude"])


def test_the_workers_join_the_head_where_it_listens(config):
    head, workers = (" ".join(config[f"{who}_start_ray_commands"]) for who in ("head", "worker"))
    port = re.search(r"--head --port=(\d+)", head)[1]
    assert f"ray start --address=$RAY_HEAD_IP:{port}" in workers
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in head
    assert "--dashboard-host=127.0.0.1" in head


def test_the_head_starts_the_mlflow_server_that_it_names(config):
    (server,) = (command for command in config["head_start_ray_commands"] if "mlflow server" in command)
    host, port = (re.search(rf"--{option} (\S+)", server)[1] for option in ("host", "port"))
    assert f"--env MLFLOW_TRACKING_URI=http://{host}:{port}" in config["docker"]["head_run_options"]


@pytest.mark.parametrize("line", re.findall(r"robust-sweep submit .*", "\n".join((COMMON, ON_PREMISES))))
def test_the_documented_command_is_one_of_the_command_line(line):
    command = typer.main.get_command(app).commands["submit"]
    context = command.make_context("submit", shlex.split(line)[2:])
    assert context.params["address"] == "http://127.0.0.1:8265"
    root, is_shared = context.params["root"], context.params["shared"]
    assert root.startswith("s3://") or is_shared


def test_both_variants_document_a_command():
    assert "--root s3://" in COMMON
    (root,) = re.findall(r"--root (/\S+) --shared", ON_PREMISES)
    assert f"--volume {root}:{root}" in yaml.safe_load(VARIANTS["local"])["docker"]["run_options"]


def test_on_aws_the_head_runs_no_trial_and_spot_workers_come_with_the_work():
    config = yaml.safe_load(VARIANTS["aws"])
    types = config["available_node_types"]
    head, workers = types[config["head_node_type"]], {k: v for k, v in types.items() if k != config["head_node_type"]}
    assert head["resources"] == {"CPU": 0}
    assert workers
    for worker in workers.values():
        assert worker["min_workers"] == 0
        assert 0 < worker["max_workers"] <= config["max_workers"]
        assert worker["resources"]["GPU"] >= 1
        assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert "IamInstanceProfile" in worker["node_config"]  # Ray gives one, which may use S3, to the head alone
    for node in types.values():
        assert set(node["node_config"]) <= NODE_KEYS
        assert node["node_config"]["InstanceType"]
    assert config["idle_timeout_minutes"] > 0


def test_on_premises_there_are_a_head_and_workers():
    provider = yaml.safe_load(VARIANTS["local"])["provider"]
    assert provider["head_ip"]
    assert provider["worker_ips"]
    assert provider["head_ip"] not in provider["worker_ips"]
