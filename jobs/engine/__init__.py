"""The engine: stages, needs, results and the story they tell. Standard library only."""
