"""Studies: questions asked of analyses, published numbers, figures and prose, as a folder."""
