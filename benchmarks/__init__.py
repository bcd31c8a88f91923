"""Measurements that print their figures and fail loudly where a promise is not kept. Run one by its name."""
