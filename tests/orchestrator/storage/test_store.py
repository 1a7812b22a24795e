import ast
import multiprocessing
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
import torch
from made_up import record_of

from orchestrator.storage.record_table import as_parquet, read
from orchestrator.storage.store import KINDS, Store
from trainables.errors import InputError
from trainables.runtime.failures import Failure
from trainables.specs import EvaluationSpec, TrainingSpec

SPEC = TrainingSpec.model_validate(
    {"defense": {"name": "rbf_mapping", "psi": "identity"}, "optimisation": {"milestones": (1, 2)}, "epochs": 2}
)
ATTACKED = EvaluationSpec.model_validate(
    {"model": SPEC.fingerprint, "attack": {"name": "pgd", "eps": ("1/255", 0.3), "steps": 3}, "seed": 2}
)
HISTORY = [{"loss": 0.1 + 0.2, "epoch": 1}, {"loss": 1e-300, "epoch": 2}]
ODD_FLOATS = torch.tensor([0.1, -0.0, float("inf"), float("nan"), 1e-42])
TENSORS = {
    "float32": ODD_FLOATS,
    "float64": torch.tensor([1 / 3], dtype=torch.float64),
    "bfloat16": torch.tensor([1.5, 2.5], dtype=torch.bfloat16),
    "int64": torch.tensor([[2**62, -1]]),
    "uint8": torch.arange(4, dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(3.0),
    "empty": torch.zeros(0, 3),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "nested.name/with: signs": torch.ones(2, 2, requires_grad=True),
}


def as_bytes(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def assert_same_tensors(found, expected):
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape), name
        assert as_bytes(found[name]) == as_bytes(tensor), name


def record(eps, *, n=5, evaluation=ATTACKED, **provenance):
    numbers = np.random.default_rng(n)
    return record_of(
        evaluation,
        eps,
        correct=numbers.random(n) < 0.5,
        prediction=numbers.integers(0, 10, n).astype(np.int32),
        distance=numbers.random(n).astype(np.float32),
        seconds=0.1 + 0.2,
        queries=n * 3,
        provenance=provenance or {"torch": "2.13", "code": {"commit": "abc", "dirty": False}},
    )


@pytest.fixture(
    params=[
        pytest.param("{folder}", id="folder"),
        pytest.param("{folder}/with spaces/seed=1", id="odd folder"),
        pytest.param("file://{folder}", id="file URI"),
        pytest.param("mock:///{unique}/root", id="a filesystem that is not local"),
        pytest.param("s3", id="S3"),
    ]
)
def any_store(request, tmp_path) -> Store:
    if request.param == "s3":
        return Store(request.getfixturevalue("s3").uri(uuid.uuid4().hex))
    return Store(request.param.format(folder=tmp_path / "store", unique=uuid.uuid4().hex))


# Round trips


def test_a_checkpoint_is_read_back_bit_for_bit(any_store):
    provenance = {"device": "a GPU", "threads": 3}
    any_store.save_checkpoint(SPEC, TENSORS, HISTORY, provenance)
    checkpoint = any_store.load_checkpoint(SPEC.fingerprint)
    assert_same_tensors(checkpoint.tensors, TENSORS)
    assert checkpoint.history == HISTORY
    assert checkpoint.provenance == provenance
    assert checkpoint.spec == SPEC
    assert type(checkpoint.spec.defense) is type(SPEC.defense)
    assert checkpoint.spec.fingerprint == SPEC.fingerprint
    assert any_store.load_history(SPEC.fingerprint) == (SPEC, HISTORY, provenance)


def test_an_unfinished_training_is_read_back_bit_for_bit(any_store):
    values = {"epoch": 3, "history": HISTORY, "nested": {"list": [1, None, "a"]}}
    any_store.save_state("f", TENSORS, values)
    tensors, found = any_store.load_state("f")
    assert_same_tensors(tensors, TENSORS)
    assert found == values


def test_crafted_examples_are_read_back_bit_for_bit(any_store):
    any_store.save_crafted("f", TENSORS)
    assert_same_tensors(any_store.load_crafted("f"), TENSORS)


def test_tensors_that_share_memory_are_saved_whole(store):
    whole = torch.arange(6.0)
    tied = {"a": whole, "b": whole, "part": whole[2:4]}
    store.save_crafted("f", tied)
    assert_same_tensors(store.load_crafted("f"), tied)


def test_records_are_read_back_example_by_example(any_store):
    records = [record(1 / 255, n=5), record(0.3, n=5)]
    any_store.save_records(records)
    found = any_store.load_records(ATTACKED.fingerprint)
    assert [r.eps for r in found] == [1 / 255, 0.3]
    for got, expected in zip(found, records, strict=True):
        assert got.evaluation == ATTACKED
        assert type(got.evaluation.attack) is type(ATTACKED.attack)
        assert (got.seconds, got.provenance) == (expected.seconds, expected.provenance)
        for name in ("correct", "prediction", "distance"):
            column, wanted = getattr(got, name), getattr(expected, name)
            assert column.dtype == wanted.dtype, name
            np.testing.assert_array_equal(column, wanted)
        assert got.mean_score == expected.correct.sum() / 5


@pytest.mark.parametrize("shape", [(4, 2, 3), (0, 2, 3), (4, 1), (4,)])
def test_predictions_are_read_back_in_their_shape(store, shape):
    numbers = np.random.default_rng(0)
    records = [replace(record(eps, n=shape[0]), prediction=numbers.random(shape, np.float32)) for eps in (0.1, 0.3)]
    store.save_records(records)
    for got, expected in zip(store.load_records(ATTACKED.fingerprint), records, strict=True):
        assert got.prediction.dtype == np.float32
        np.testing.assert_array_equal(got.prediction, expected.prediction, strict=True)


def test_the_file_of_a_classification_says_nothing_of_the_shape_of_a_prediction():
    metadata = pq.read_schema(pa.BufferReader(as_parquet([record(0.1)]))).metadata
    assert set(metadata) - {b"ARROW:schema"} == {b"evaluation", b"provenance", b"shapes"}


def test_predictions_stored_without_their_shape_are_read_flat():
    content = as_parquet([replace(record(0.1, n=4), prediction=np.zeros((4, 2, 3), np.float32))])
    table = pq.read_table(pa.BufferReader(content))
    metadata = {key: value for key, value in table.schema.metadata.items() if key != b"prediction_shape"}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink)
    (found,) = read(sink.getvalue())
    assert found.prediction.shape == (24,)


VALUES = {
    "share": np.array(1 / 3),
    "norm": np.array([1e-300, 0.1, np.inf, 0.0]),
    "zero": np.array([True, False, True, False]),
    "pairs": np.arange(6.0).reshape(2, 3),
}


def test_what_was_measured_is_read_back_in_its_shape(any_store):
    measured = EvaluationSpec.model_validate({"model": SPEC.fingerprint, "measure": {"name": "gradients"}})
    any_store.save_records([replace(record(0.0, evaluation=measured), values=VALUES)])
    (found,) = any_store.load_records(measured.fingerprint)
    assert type(found.evaluation.measure) is type(measured.measure)
    assert list(found.values) == list(VALUES)
    for name, value in VALUES.items():
        assert (found.values[name].dtype, found.values[name].shape) == (value.dtype, value.shape), name
        np.testing.assert_array_equal(found.values[name], value)


def test_numbers_are_shares_medians_and_scalars_and_no_matrices():
    assert replace(record(0.0), values=VALUES).numbers == {"share": 1 / 3, "median norm": 0.05, "share zero": 0.5}


def test_a_failure_is_read_back(any_store):
    failure = Failure(
        "diverged", "e: [nan]", "line 1\nline 2", "host:/l", epoch=3, last_metrics={"loss": 0.1}, unit="u"
    )
    any_store.save_failure("f", failure)
    assert any_store.load_failure("f") == failure


def test_a_failure_that_an_older_program_stored_is_read(store):
    store.write_file("failures/f.json", b'{"error": "e", "traceback": "t", "unit": "u"}')
    assert store.load_failure("f") == Failure("bug", "e", traceback="t", unit="u")


def test_a_file_of_the_user_is_read_back(any_store):
    where = any_store.write_file("reports/a/report.md", "äöü\n".encode())
    assert where == any_store.place("reports/a/report.md")
    assert "/reports/a/report.md" in where
    assert any_store.read_file("reports/a/report.md") == "äöü\n".encode()
    assert any_store.read_file("reports/none") is None


def test_the_last_writer_wins(any_store):
    for value in (1.0, 2.0):
        any_store.save_crafted("f", {"x": torch.tensor(value)})
    assert any_store.load_crafted("f")["x"] == 2.0


# Listing and deleting


def fill(store, kind, name):
    {
        "checkpoints": lambda: store.save_checkpoint(SPEC, {"x": torch.ones(1)}, HISTORY),
        "states": lambda: store.save_state(name, {"x": torch.ones(1)}, {}),
        "records": lambda: store.save_records([record(0.3)]),
        "crafted": lambda: store.save_crafted(name, {"x": torch.ones(1)}),
        "failures": lambda: store.save_failure(name, Failure("bug", "e")),
    }[kind]()
    return {"checkpoints": SPEC.fingerprint, "records": ATTACKED.fingerprint}.get(kind, name)


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_is_there_from_its_saving_to_its_deletion(any_store, kind):
    assert any_store.fingerprints(kind) == set()
    assert not any_store.has(kind, "f")
    name = fill(any_store, kind, "f")
    assert any_store.has(kind, name)
    assert any_store.fingerprints(kind) == {name}
    assert all(any_store.fingerprints(other) == set() for other in KINDS if other != kind)
    for _ in range(2):
        any_store.delete(kind, name)
        assert not any_store.has(kind, name)
    assert any_store.fingerprints(kind) == set()


@pytest.mark.parametrize("load", ["load_checkpoint", "load_history", "load_records", "load_crafted", "load_failure"])
def test_loading_what_is_not_there_says_so(any_store, load):
    with pytest.raises(FileNotFoundError, match="missing"):
        getattr(any_store, load)("missing")


def test_a_state_that_is_not_there_is_none(any_store):
    assert any_store.load_state("missing") is None


def test_what_a_killed_writer_left_is_no_entry(store):
    name = fill(store, "checkpoints", "f")
    folder = Path(store.root) / "checkpoints"
    (folder / f"{name}.safetensors.0123.tmp").write_bytes(b"half a fi")
    (folder / "other.safetensors.4567.tmp").write_bytes(b"")
    assert store.fingerprints("checkpoints") == {name}


def test_writing_leaves_nothing_aside(store):
    for kind in KINDS:
        fill(store, kind, "f")
    assert not list(Path(store.root).rglob("*.tmp"))


# Roots


def test_a_local_root_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Store("results").root == str(tmp_path / "results")
    assert Store(Path("results")).root == str(tmp_path / "results")
    assert Store("~/results").root == str(tmp_path / "home" / "results")
    assert Store(f"file://{tmp_path}").root == str(tmp_path)
    assert Store("s3://bucket/prefix").root == "s3://bucket/prefix"
    assert [Store(root).is_local for root in ("results", "file:///results", "s3://bucket")] == [True, True, False]


def test_a_root_that_can_be_written_is_left_as_it_was(any_store):
    any_store.write_file("kept", b"1")
    any_store.check_writable()
    fs, root = any_store.filesystem()
    assert [info.base_name for info in fs.get_file_info(pa.fs.FileSelector(root))] == ["kept"]


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        pytest.param("{file}", "File exists", id="a file"),
        pytest.param("{file}/root", "Not a directory", id="below a file"),
        pytest.param("file://{file}/root", "Not a directory", id="below a file, as a URI"),
        pytest.param("/proc/nothing", "No such file or directory", id="proc"),
    ],
)
def test_a_root_that_cannot_be_written_is_refused_with_a_way_out(root, reason, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    message = (
        rf"root '/.*' must be a folder that can be written: {reason} "
        r"\(choose another with --root or ROBUST_SWEEP_ROOT\)"
    )
    with pytest.raises(InputError, match=message):
        Store(root.format(file=tmp_path / "file")).check_writable()


def test_a_root_on_an_unknown_filesystem_is_refused():
    with pytest.raises(InputError, match=r"root 'ftpx://host/a' cannot be opened: Unrecognized filesystem type"):
        Store("ftpx://host/a").fingerprints("records")


def test_who_has_opened_an_entry_reads_it_to_its_end_while_it_is_rewritten(store):
    store.save_crafted("f", {"x": torch.zeros(1000)})
    path = Path(store.root) / "crafted" / "f.safetensors"
    before = path.read_bytes()
    with path.open("rb") as file:
        start = file.read(10)
        store.save_crafted("f", {"x": torch.ones(2000)})
        assert start + file.read() == before
    assert path.read_bytes() != before


# Several processes

ROUNDS = 25
SIZE = 20_000


def rewrite(root, writer, ready):
    """Write the same entries many times, each time whole and with one value throughout."""
    store = Store(root)
    ready.wait()
    for number in range(ROUNDS):
        value = float(writer * ROUNDS + number)
        store.save_checkpoint(SPEC, {"x": torch.full((SIZE,), value)}, [{"loss": value, "epoch": 1}])
        correct = np.full(SIZE, number % 2 == 0)
        store.save_records(
            [record_of(ATTACKED, value, correct, correct.astype(np.int32), np.zeros(SIZE), value, 3, {})]
        )


def test_a_reader_never_sees_half_an_entry_while_two_processes_rewrite_it(store):
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(3)
    writers = [context.Process(target=rewrite, args=(store.root, n, ready)) for n in range(2)]
    for writer in writers:
        writer.start()
    ready.wait(timeout=60)
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if not store.has("records", ATTACKED.fingerprint):
            continue
        for _ in range(50):  # so often that some readings fall into a writing
            checkpoint = store.load_checkpoint(SPEC.fingerprint)
            assert checkpoint.tensors["x"].shape == (SIZE,)
            value = checkpoint.tensors["x"][0].item()
            assert (checkpoint.tensors["x"] == value).all()
            assert checkpoint.history == [{"loss": value, "epoch": 1}]
            seen.add(value)
        (found,) = store.load_records(ATTACKED.fingerprint)
        assert len(found.correct) == SIZE
        assert found.correct.all() or not found.correct.any()
        assert found.eps == found.seconds
        assert store.fingerprints("checkpoints") == {SPEC.fingerprint}
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(seen) > 1
    assert not list(Path(store.root).rglob("*.tmp"))


def test_two_sweeps_that_start_at_once_both_find_the_root_writable(store):
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: Store(store.root).check_writable(), range(200)))


# No pickle

REPOSITORY = Path(__file__).resolve().parents[3]
PICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def test_no_entry_is_a_pickle_or_a_zip(store):
    for kind in KINDS:
        fill(store, kind, "f")
    starts = {
        ".safetensors": re.compile(rb".{8}\{", re.DOTALL),  # the length of the header, then the header, which is JSON
        ".parquet": re.compile(rb"PAR1"),
        ".json": re.compile(rb"\{"),
    }
    files = [file for file in Path(store.root).rglob("*") if file.is_file()]
    assert len(files) == len(KINDS)
    for file in files:
        content = file.read_bytes()
        assert starts[file.suffix].match(content), file
        assert not content.startswith((b"\x80", b"PK")), file


@pytest.mark.parametrize("package", ["orchestrator", "trainables", "search_spaces"])
def test_nothing_imports_a_pickler_or_calls_torch_load(package):
    files = list((REPOSITORY / package).rglob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import | ast.ImportFrom) else set()
            if isinstance(node, ast.ImportFrom):
                names.add(node.module or "")
            assert not {name.partition(".")[0] for name in names} & PICKLERS, f"{file}:{node.lineno}"
            call = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            assert not (call and (node.value.id, node.attr) in {("torch", "load"), ("torch", "save")}), file
            assert not (isinstance(node, ast.ImportFrom) and node.module == "torch" and names & {"load", "save"}), file
            assert not (isinstance(node, ast.keyword) and node.arg in {"weights_only", "allow_pickle"}), file
            assert not (isinstance(node, ast.Attribute) and node.attr in {"read_pickle", "to_pickle"}), file


@pytest.mark.parametrize(
    ("root", "message"),
    [
        pytest.param("s3://", "must name a bucket, got 's3://' (s3://bucket/prefix)", id="nothing"),
        pytest.param("s3:///x", "must name a bucket, got 's3:///x' (s3://bucket/prefix)", id="prefix alone"),
        pytest.param("s3://?region=eu", "must name a bucket, got 's3://?region=eu' (s3://", id="options alone"),
        pytest.param("s3://KEY:secret@", "must name a bucket, got 's3://KEY:***@' (s3://", id="key alone"),
        pytest.param("gs://", "must name a bucket, got 'gs://' (gs://bucket/prefix)", id="Google's"),
        pytest.param("file://", "must give a whole path, got 'file://' (file:///data/results)", id="file alone"),
        pytest.param("file://host/x", "must give a whole path, got 'file://host/x' (file://", id="file on a host"),
    ],
)
def test_a_root_without_a_place_is_refused_with_an_example(root, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Store(root).check_writable()
