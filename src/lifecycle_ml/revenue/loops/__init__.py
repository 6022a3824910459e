"""Feedback loops: what retention teaches sales, marketing and product, one question and one table each."""
