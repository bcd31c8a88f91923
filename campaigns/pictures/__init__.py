"""Locally drawn pictures: shapes, lettering and colors."""
