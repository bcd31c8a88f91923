"""The pages of a job: its progress, its actions, its files, and signing in."""
