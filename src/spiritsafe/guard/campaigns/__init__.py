"""Campaigns, accounts that act as one: links between them, communities, their tests, the roster, its evidence."""
