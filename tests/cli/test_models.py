"""`spiritsafe models` and the choice of `spiritsafe serve`, at the command line."""

from pathlib import Path

import pytest

from spiritsafe.cli.models import app, described
from spiritsafe.cli.serve import model_file
from spiritsafe.errors import InputError
from spiritsafe.models.embedded import rows


def test_list_has_one_line_for_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    app(["list"], result_action="return_value")

    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [row.name for row in rows()]


def test_get_of_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(InputError, match=r"smollm2-135m"):
        app(["get", "no-such-model"], result_action="return_value")


@pytest.mark.parametrize(("here", "words"), [(True, "  here"), (False, "  not here")])
def test_a_line_says_whether_the_model_is_here_and_what_to_know(here: bool, words: str) -> None:
    plain, noted = described(rows()[0], here=here), described(rows()[1], here=here)

    assert plain.endswith(words)
    assert noted.endswith(f"{words}  ({rows()[1].note})")


def test_a_path_is_served_under_the_name_of_its_file() -> None:
    assert model_file("models/Mine.Q4_1.gguf") == (Path("models/Mine.Q4_1.gguf"), "Mine.Q4_1")
