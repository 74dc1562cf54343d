"""Reports: Markdown, one self-contained HTML page, plots."""
