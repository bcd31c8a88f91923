"""The tests are packages, so that two folders may contain files with the same name."""
