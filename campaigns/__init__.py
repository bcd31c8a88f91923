"""What a campaign is: its brief, its rules, its documents and its stages."""
