"""The job's folder: files are written completely or not at all, and never outside it."""

import pytest
from django.core.files.storage import FileSystemStorage

from jobs.store.files import JobFiles


@pytest.fixture
def files(tmp_path):
    return JobFiles("jobs/one", FileSystemStorage(location=tmp_path))


def test_a_file_is_stored_under_its_own_name(files, tmp_path):
    assert files.write("brief.md", "# Brief") == "brief.md"
    assert (tmp_path / "jobs/one/brief.md").read_text() == "# Brief"


def test_a_rewritten_file_replaces_the_first_and_leaves_no_other_file(files, tmp_path):
    files.write("a.bin", b"first")
    files.write("a.bin", b"second")
    assert [file.name for file in (tmp_path / "jobs/one").iterdir()] == ["a.bin"]
    assert (tmp_path / "jobs/one/a.bin").read_bytes() == b"second"


@pytest.mark.parametrize("name", ["", ".", "..", "../up.md", "a/b.md", "/etc/passwd", ".hidden"])
def test_a_name_with_a_path_is_refused(files, name):
    with pytest.raises(ValueError, match="plain file name"):
        files.write(name, b"x")


def test_the_folder_of_a_new_files_path_exists(files):
    assert files.path("later.png").parent.is_dir()
