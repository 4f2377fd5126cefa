"""Look at workflows.

Examples:
  maverick workflow list
  maverick workflow check deploy.yaml
"""

ORDER = ("list", "show", "check")
