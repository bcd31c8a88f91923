"""Actions on a job, one transaction each: launch, cancel, retry, resolve, set live."""
