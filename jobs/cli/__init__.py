"""The commands: launch and follow, here or on another installation, and run the processes."""
