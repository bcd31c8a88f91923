"""The stages of a campaign's launch: one async function each, which gets tools and files as a context."""
