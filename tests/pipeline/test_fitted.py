"""How a model was fitted is read strictly, and what a machine lacks for it is named."""

import pytest

from pushforward.errors import DATA, PushforwardError
from pushforward.pipeline import fitted


def test_without_a_word_it_is_fitted_on_a_processor_and_reproducible():
    found = fitted.of({"training": {}})
    assert (found.means, found.device, found.reproducible, found.lacking) == ({}, "cpu", True, "")


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ([], "fitted"),
        ({"device": 3}, "device"),
        ({"reproducible": "no"}, "reproducible"),
        ({"within": 0.5}, "within"),
        ({"within": 0}, "within"),
        ({"cluster": {"workers": 2}}, "up to 40 names"),
        ({"x": "y" * 201}, "up to 40 names"),
        ({str(number): 1 for number in range(41)}, "up to 40 names"),
    ],
)
def test_what_is_not_of_its_form_is_refused(means, words):
    with pytest.raises(PushforwardError, match=words) as refused:
        fitted.of({"fitted": means})
    assert refused.value.exit_code == DATA


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_is_lacking_where_there_is_no_device_file(tmp_path, monkeypatch, device):
    monkeypatch.setattr(fitted, "DEVICES", tmp_path)
    (tmp_path / "nvidiactl").touch()
    found = fitted.of({"fitted": {"device": device, "cluster": "none"}})
    assert found.lacking == f"it was fitted on {device}, and there is no such device"
    (tmp_path / "nvidia0").touch()
    assert found.lacking == ""


@pytest.mark.parametrize(
    ("told", "found", "near"), [(0.5, 0.519, True), (0.5, 0.521, False), (1000, 1019, True), (-3, -3.07, False)]
)
def test_a_metric_comes_again_within_the_bound(told, found, near):
    assert fitted.of({"fitted": {"reproducible": False, "within": 0.02}}).near(told, found) == near
