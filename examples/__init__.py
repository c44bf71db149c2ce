"""Programs to start from: the demo, and the recipes of its data."""
