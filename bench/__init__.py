"""Speed and memory, measured side by side in one run against what a user would pick instead: `make bench`."""
