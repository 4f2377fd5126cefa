"""Where each run stands, which runs were dropped, and what retention keeps."""
