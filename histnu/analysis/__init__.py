"""An analysis: its file, its assembly into a likelihood, and what verbs work on."""
