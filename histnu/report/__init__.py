"""The paper's results: computed, compared with the published ones, written as JSON and text."""
