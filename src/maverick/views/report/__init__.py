"""The report: a run as one page that needs nothing but a browser, and is safe to open."""
