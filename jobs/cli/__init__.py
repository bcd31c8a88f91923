"""The code of the commands: launch and follow, locally or remotely, and run the processes."""
