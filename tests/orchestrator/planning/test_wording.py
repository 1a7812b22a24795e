from orchestrator.planning.wording import counted


def test_one_of_a_thing_has_no_s():
    assert [counted(n, "trial") for n in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]
