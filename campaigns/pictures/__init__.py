"""Pictures drawn here: their shapes, lettering and colours."""
