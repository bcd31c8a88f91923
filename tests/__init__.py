"""The tests, as packages: two folders may hold a file of the same name."""
