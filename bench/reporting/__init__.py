"""From what the suites recorded to tables, goals, plots and the README's text."""
