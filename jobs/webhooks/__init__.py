"""Webhooks: permitted addresses, signatures, deliveries and the sender."""
