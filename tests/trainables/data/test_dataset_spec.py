from trainables.data.spec import DatasetSpec


def test_a_datasets_key_names_its_content_and_not_its_place():
    """A model that was trained on a folder is evaluated on the same images wherever they lie now."""
    assert DatasetSpec(name="parquet:/a", digest="1").key == DatasetSpec(name="parquet:/b", digest="1").key
    assert DatasetSpec(name="parquet:/a", digest="1").key != DatasetSpec(name="parquet:/a", digest="2").key
    assert DatasetSpec(name="digits").key != DatasetSpec(name="digits", image_size=8).key
