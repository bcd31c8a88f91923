"""The engine: stages, their dependencies, results and events. Standard library only."""
