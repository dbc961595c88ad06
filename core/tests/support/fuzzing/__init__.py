"""Files that are almost right: made from small real ones by seeded changes, and used in a child."""
