"""The pages of a campaign: its progress, its actions, its files, and signing in."""
