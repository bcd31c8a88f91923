"""Template filters of the job pages."""
