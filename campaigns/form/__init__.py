"""The launch form: how it is shown, read and submitted."""
