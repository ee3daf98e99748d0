"""The demo's own folder."""

from __future__ import annotations

import pytest

from costspan.demo.home import DemoHome
from costspan.errors import ConfigurationError


@pytest.fixture
def home(tmp_path):
    """The home in an empty state directory."""
    made = DemoHome.of(tmp_path)
    yield made
    made.release()


def test_each_run_begins_with_nothing_of_the_last(home):
    """Journal, database and links of the last run are gone; what a link points at is not."""
    home.begin()
    outside = home.folder.parent / "outside"
    outside.mkdir()
    (home.folder / "journal").mkdir()
    (home.folder / "journal" / "segment").write_bytes(b"x")
    (home.folder / "link").symlink_to(outside)
    home.release()

    home.begin()

    assert [entry.name for entry in home.folder.iterdir()] == [".costspan-demo"]
    assert outside.is_dir()


def test_a_folder_of_somebody_else_is_left_alone(home):
    """A state directory may be anybody's home, and its `demo` folder their work."""
    home.folder.mkdir()
    (home.folder / "work.txt").write_text("mine")

    with pytest.raises(ConfigurationError, match="not the demo's"):
        home.begin()
    with pytest.raises(ConfigurationError, match="not the demo's"):
        home.remove()

    assert (home.folder / "work.txt").read_text() == "mine"


def test_two_demos_do_not_share_a_folder(home, tmp_path):
    """The second is told to wait, and the first keeps what it has."""
    home.begin()
    (home.folder / "journal").mkdir()

    with pytest.raises(ConfigurationError, match="another demo is running"):
        DemoHome.of(tmp_path).begin()

    assert (home.folder / "journal").is_dir()


def test_the_folder_is_free_again_after_a_release(home, tmp_path):
    """One demo after the other works."""
    home.begin()
    home.release()
    other = DemoHome.of(tmp_path)

    other.begin()

    other.release()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    """The message names the path."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="file"):
        DemoHome.of(tmp_path / "file").begin()


def test_removing_leaves_nothing_and_says_whether_there_was_something(home):
    """`costspan demo --reset`."""
    home.begin()
    home.release()

    assert home.remove() is True
    assert not home.folder.exists()
    assert home.remove() is False
