"""Documents made of a brief's data alone: the same for a service and for its fallback."""
