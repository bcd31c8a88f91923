"""The brief: its schema and fields, the rules it must keep, its KPIs, and the sample presets."""
