"""Documents rendered from a brief's data: the same text for a service and for its fallback."""
