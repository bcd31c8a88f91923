"""The stages of a campaign's launch: one async function each, over tools and files that they are given."""
