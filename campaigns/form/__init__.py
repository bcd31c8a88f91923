"""The launch form: its page, its fields and its conversion to a brief."""
