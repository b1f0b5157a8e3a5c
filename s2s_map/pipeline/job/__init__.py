"""A run before it begins: config looked up, search frozen, settings checked, record written."""
