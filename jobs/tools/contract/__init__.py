"""What is agreed with a tool server: its entry, tools and policies, and calls, replies and errors."""
