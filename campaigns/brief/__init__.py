"""The brief: its schema and fields, the rules for it, its KPIs, and the sample presets."""
